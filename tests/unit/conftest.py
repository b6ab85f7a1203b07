"""Unit tests reach nothing outside their process: no sockets but the event loop's own pair."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """Refuse every network socket for the length of one test."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
