"""A gate daemon of its own, ended afterwards."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hostagent.errors import HostError
from hostagent.gatefile.client import GateClient


@pytest.fixture
async def gates(tmp_path: Path) -> AsyncIterator[GateClient]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    client = GateClient(tmp_path / "gate")
    try:
        await client.start()
    except HostError as error:
        pytest.skip(f"no gate files on this machine: {error}")
    yield client
    await client.shut_down()
