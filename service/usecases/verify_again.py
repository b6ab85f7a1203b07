"""One more verification of files that are watched, and what it adds to what is known of them."""

import logging
from collections.abc import Callable

from service.domain.errors import ArtifactRefused, ArtifactTampered, ArtifactUnreadable, RolledBack
from service.domain.integrity.watched import Changes, History
from service.ports import WatchedArtifact
from service.usecases.paced_reading import CalledOff, PacedReading

_log = logging.getLogger(__name__)


def marked(artifact: WatchedArtifact) -> bytes | None:
    """None: it cannot be told now."""
    try:
        return artifact.mark()
    except ArtifactUnreadable:
        return None
    except Exception:  # noqa: BLE001 - such as a link to itself on its way; the verification that follows says it
        return None


def verify_again(
    artifact: WatchedArtifact,
    history: History,
    mark: bytes | None,
    reading: PacedReading,
    monotonic: Callable[[], float],
) -> tuple[History, str]:
    """Blocks. Also gives a word for the outcome. `mark` is from before; raises `CalledOff`."""
    try:
        digest, read = artifact.verify(reading)
        _refuse_changed(artifact, mark, read)
    except ArtifactTampered as error:
        return history.found_tampered(str(error).partition("\n")[0].removesuffix(":"), Changes.of(error)), "tampered"
    except RolledBack as error:
        return history.found_tampered(str(error), Changes()), "tampered"
    except ArtifactRefused as error:
        return history.found_refused(str(error)), "refused"
    except ArtifactUnreadable as error:
        return history.found_unreadable(monotonic(), str(error)), "unreadable"
    except CalledOff:
        raise
    except Exception as error:  # noqa: BLE001 - other targets must be watched whatever is wrong with this one
        _log.exception("a verification failed")
        return history.found_unreadable(monotonic(), type(error).__name__), "unreadable"
    return history.verified(monotonic(), digest), "verified"


def _refuse_changed(artifact: WatchedArtifact, mark: bytes | None, read: bytes) -> None:
    """What was read first may have been written behind the back of the reading."""
    if mark is None or read != mark or marked(artifact) != mark:
        raise ArtifactUnreadable("files changed while they were read: try again when they are written")
