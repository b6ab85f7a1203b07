"""The application in this process, on a real store of its own."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from service.adapters.embedded_store import embedded_store
from service.settings import StoreSettings
from tests.integration.integrity.watching import Model, made
from tests.integration.service.conftest import Application, application

Applications = Callable[..., AbstractAsyncContextManager[Application]]


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
def applications(store_url: str) -> Applications:
    """Give applications on the same part of the store."""
    prefix = secrets.token_hex(8)

    def make(**groups: Any) -> AbstractAsyncContextManager[Application]:
        return application(StoreSettings(url=store_url, prefix=prefix), **groups)

    return make


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return made(tmp_path)
