"""Where references and plans are kept."""

from service.adapters.reference_store.redis_registrations import RedisRegistrations

__all__ = ["RedisRegistrations"]
