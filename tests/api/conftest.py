"""One server for a test that needs no settings of its own, and the log as it is in production."""

import io
from collections.abc import AsyncIterator

import pytest

from tests.api.running import Running, running
from tests.logs.conftest import Logging, logging_to

__all__ = ["logging_to"]


@pytest.fixture(autouse=True)
def log_output(logging_to: Logging) -> io.StringIO:
    """What the server logs during the test, at level debug."""
    return logging_to(level="debug")


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as up:
        yield up
