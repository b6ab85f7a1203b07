"""Which evaluator is at which model, and at a glance where there is work."""

from service.adapters.claims.redis_claims import RedisClaims
from service.adapters.claims.redis_signs import RedisSigns

__all__ = ["RedisClaims", "RedisSigns"]
