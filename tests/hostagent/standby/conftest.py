"""A simulated host for each test."""

from collections.abc import Iterator

import pytest

from tests.hostagent.standby.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Nobody is there yet; the idle timeout is 10 s."""
    host = World()
    yield host
    host.close()
