"""What the driver raises, in our words: never with what was being stored, a password or a URL."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from service.domain.errors import CorruptedState, StoreFull, StoreUnavailable

OF_THE_DRIVER = (RedisError, RedisClusterException, OSError)
"""Everything that it raises when the store is not as it should be; the cluster's errors are relatives of none."""


class UnreadableFile(RedisConnectionError):
    """A file with a password or a certificate cannot be read now."""


class NoHandshake(TimeoutError):
    """Nobody answered the beginning of a TLS connection."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the driver raises as `StoreUnavailable` or `CorruptedState`."""
    try:
        yield
    except OF_THE_DRIVER as error:
        raise in_our_words(error) from error


def in_our_words(error: Exception) -> Exception:
    """What the driver raises as an error of ours; anything else as it is."""
    if not isinstance(error, OF_THE_DRIVER):
        return error
    if isinstance(error, ResponseError) and _code(error) == "WRONGTYPE":
        return CorruptedState("a key of the store is of another type than what is kept under it (WRONGTYPE)")
    full = isinstance(error, OutOfMemoryError)
    return (StoreFull if full else StoreUnavailable)(_explanation(error))


def _explanation(error: Exception) -> str:
    for kind, explanation in _KNOWN:
        if isinstance(error, kind):
            return explanation
    if isinstance(error, UnreadableFile):
        return str(error)
    if isinstance(error, ResponseError):
        code = _code(error)
        return f"the store answered {code if code.isupper() else type(error).__name__}"
    return _of_tls(error) or f"the store does not answer ({type(error).__name__})"


def _code(error: ResponseError) -> str:
    """The first word, such as MISCONF or NOAUTH; the rest of the line may repeat arguments.

    Of the codes that the driver knows it keeps nothing but that rest; its pipelines put the command before the others.
    """
    return str(error).rpartition(" of pipeline caused error: ")[2].split(" ", 1)[0]


_KNOWN = (
    (AuthenticationError, "the store refused the credentials it was given"),
    (NoPermissionError, "the store's user may not use a command or key that is needed (NOPERM)"),
    (OutOfMemoryError, "the store has no memory left (OOM)"),
    (ReadOnlyError, "the store is a replica and takes no writes (READONLY)"),
    (MasterNotFoundError, "no Sentinel that answers knows a master of that name that is up"),
)


def _of_tls(error: BaseException) -> str | None:
    """The driver keeps what TLS objected to only as the error during which its own was raised."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the store's certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, NoHandshake):
            return "no TLS with the store: it cannot be reached, or does not speak TLS on that port"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS with the store ({getattr(cause, 'reason', None) or type(cause).__name__})"
        cause = cause.__cause__ or cause.__context__
    return None
