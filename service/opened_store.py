"""The part of the composition root for the store: who we are to it, what its answers promise, and what is in it."""

import logging
from dataclasses import dataclass

from service.adapters.log import (
    Acknowledging,
    Durability,
    RedisDeliveryLog,
    RedisJudgedBatches,
    RedisObservationLog,
    RedisRetrainingRecord,
    RedisVerdictLog,
    may_wait_for_disk,
)
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys
from service.adapters.store_address import Access, Credentials, TlsFiles
from service.ports import RetrainingRecord
from service.settings import StoreSettings
from service.usecases.tell_retraining import TellRetraining, ToldRecord

_log = logging.getLogger(__name__)
_GROUPS_WAITING_FOR_A_DISK = 16


@dataclass(frozen=True, slots=True)
class Stores:
    """What every process has of it."""

    redis: Client
    keys: Keys
    observations: RedisObservationLog
    judged: RedisJudgedBatches
    verdicts: RedisVerdictLog
    deliveries: RedisDeliveryLog
    registrations: RedisRegistrations
    record: RetrainingRecord


def open_stores(
    settings: StoreSettings, redis: Client, level: Acknowledging, tell: TellRetraining, *, forwards: bool
) -> Stores:
    """Over one connection. A process that forwards keeps no predictions."""
    keys = Keys(settings.prefix)
    return Stores(
        redis,
        keys,
        RedisObservationLog(
            redis,
            keys,
            max_batches=settings.max_waiting_batches,
            retained_bytes=settings.retained_bytes,
            horizon=settings.kept_batches,
            acknowledging=level,
            retained_seconds=settings.retained_seconds,
            prediction_bytes=0 if forwards else settings.prediction_bytes,
        ),
        RedisJudgedBatches(redis, keys),
        RedisVerdictLog(redis, keys, settings.kept_verdicts),
        RedisDeliveryLog(redis, keys, settings.kept_verdicts),
        RedisRegistrations(redis, keys),
        ToldRecord(RedisRetrainingRecord(redis, keys, settings.kept_retraining_entries), tell),
    )


def store_access(settings: StoreSettings) -> Access:
    """The embedded store has no users, and is reached by nobody else."""
    if settings.url is None:
        return Access()
    return Access(
        Credentials(settings.username, None, settings.password_file),
        Credentials(settings.sentinel_username, None, settings.sentinel_password_file),
        TlsFiles(
            settings.tls_ca_file, settings.tls_certificate_file, settings.tls_key_file, settings.tls_check_hostname
        ),
    )


async def acknowledging(settings: StoreSettings, redis: Client) -> Acknowledging:
    """At the level `fsync` the store is asked how it is run."""
    durability = Durability(settings.remembered_seconds)
    if settings.acknowledge == "fsync":
        asked = await may_wait_for_disk(redis, known_always=settings.appendfsync_always)
        # Less than the connection's own timeout, so that the answer is that the disk is slow, not that nobody answers.
        wait = max(1, round(800 * settings.timeout_seconds)) if asked else None
        durability = Durability(settings.remembered_seconds, wait, _GROUPS_WAITING_FOR_A_DISK)
    return Acknowledging(settings.acknowledge, settings.memory_bytes, durability)


async def finish(observations: RedisObservationLog, seconds: float) -> None:
    """Before the store's connections are closed."""
    lost = await observations.finish(seconds)
    if lost:
        _log.error("%d batches that were acknowledged from memory are lost: the store did not take them in time", lost)
