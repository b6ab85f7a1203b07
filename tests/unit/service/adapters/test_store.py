"""The store's URL, and its errors in our words."""

import ssl

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.store import connection, store_errors
from service.domain.errors import CorruptedState, InvalidConfiguration, StoreUnavailable


def caused_by(cause: Exception) -> Exception:
    """As the driver does it: its own error while the first is handled."""
    try:
        try:
            raise cause
        except OSError as error:
            raise RedisConnectionError(f"Error 1 connecting to secret: {error}")  # noqa: B904
    except RedisConnectionError as error:
        return error


def ssl_refusal(secret: str, why: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, secret)
    error.verify_message = why
    return error


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["", "store:6379", "http://store:6379", "redis://host:port", "redis://:hunter2@host:x/0", "redis://h?db=x"]
)
async def test_a_url_that_is_none_of_a_store_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match="DRIFT_STORE__URL") as raised:
        async with connection(url, 1.0):
            pass
    assert "hunter2" not in str(raised.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/1",
        "rediss://user:secret@h",
        "unix:///run/valkey.sock",
        "rediss+sentinel://h,i/main",
        "rediss+cluster://h,i",
    ],
)
async def test_opening_a_connection_sends_nothing(url: str) -> None:
    async with connection(url, 1.0):
        pass


@pytest.mark.parametrize(
    ("error", "explanation"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (ResponseError("MISCONF Errors writing to the AOF file: secret"), "MISCONF"),
        (ResponseError("Command # 1 (SET secret) of pipeline caused error: MISCONF secret"), "MISCONF"),
        (ResponseError("wrong number of arguments for 'secret'"), "ResponseError"),
        (AuthenticationError("invalid username-password pair secret"), "credentials"),
        (NoPermissionError("User secret has no permissions to run the 'xadd' command"), "NOPERM"),
        (MasterNotFoundError("No master found for 'secret'"), "Sentinel"),
        (caused_by(ssl_refusal("secret", "certificate has expired")), "certificate has expired"),
        (caused_by(ssl.SSLError(1, "secret")), "no TLS"),
        (RedisTimeoutError("Timeout reading from secret"), "TimeoutError"),
        (ConnectionRefusedError(111, "secret"), "ConnectionRefusedError"),
    ],
)
def test_what_the_driver_says_is_told_in_our_words_and_without_what_was_stored(
    error: Exception, explanation: str
) -> None:
    with pytest.raises(StoreUnavailable, match=explanation) as raised, store_errors():
        raise error
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "message",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "Command # 1 (XADD key of secret) of pipeline caused error: WRONGTYPE Operation against a key",
    ],
)
def test_a_key_of_another_type_is_damage_and_no_outage(message: str) -> None:
    with pytest.raises(CorruptedState, match="WRONGTYPE"), store_errors():
        raise ResponseError(message)
