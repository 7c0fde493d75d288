"""A room per test."""

from collections.abc import AsyncIterator

import pytest

from streamserver.config import Settings
from tests.websocket.room import Room, running_room


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    settings = Settings.model_validate({"session": {"disconnect_delay": 0.3}})
    async with running_room(settings) as running:
        yield running
