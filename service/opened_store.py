"""The part of the composition root that says who we are to the store, and what its acknowledgement promises."""

import logging

from service.adapters.log import Acknowledging, Durability, RedisObservationLog, may_wait_for_disk
from service.adapters.store import Client
from service.adapters.store_address import Access, Credentials, TlsFiles
from service.settings import StoreSettings

_log = logging.getLogger(__name__)
_GROUPS_WAITING_FOR_A_DISK = 16


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
