"""The log of observations, verdicts and deliveries."""

from service.adapters.log.redis_deliveries import RedisDeliveryLog
from service.adapters.log.redis_observations import RedisObservationLog
from service.adapters.log.redis_verdicts import RedisVerdictLog

__all__ = ["RedisDeliveryLog", "RedisObservationLog", "RedisVerdictLog"]
