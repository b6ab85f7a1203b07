"""The log of observations, verdicts, deliveries and retraining, and the rows of it that are flagged."""

from service.adapters.log.group_commit import Durability, may_wait_for_disk
from service.adapters.log.kept_predictions import RedisPredictions
from service.adapters.log.redis_deliveries import RedisDeliveryLog
from service.adapters.log.redis_judged_batches import RedisJudgedBatches
from service.adapters.log.redis_observations import Acknowledging, RedisObservationLog
from service.adapters.log.redis_quarantine import RedisQuarantine
from service.adapters.log.redis_record import RedisRetrainingRecord
from service.adapters.log.redis_verdicts import RedisVerdictLog

__all__ = [
    "Acknowledging",
    "Durability",
    "RedisDeliveryLog",
    "RedisJudgedBatches",
    "RedisObservationLog",
    "RedisPredictions",
    "RedisQuarantine",
    "RedisRetrainingRecord",
    "RedisVerdictLog",
    "may_wait_for_disk",
]
