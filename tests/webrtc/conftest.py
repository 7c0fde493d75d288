from __future__ import annotations

from collections.abc import AsyncIterator

import aioice.ice
import pytest
from hypothesis import HealthCheck, settings

from tests.webrtc.room import Room, open_room

# A busy machine is no defect of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _viewers_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves loopback out of its own addresses; the viewers of these tests have no other one."""

    def loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(aioice.ice, "get_host_addresses", loopback)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with open_room() as running:
        yield running
