"""Two agents on one machine: the second is refused, and the first is none the worse for it."""

import subprocess

import pytest

from hostagent.app import HostAgent
from hostagent.errors import HostError
from tests.hostagent.agents import host_directory, running, settings_in
from tests.hostagent.own_host import require_own_network

pytestmark = pytest.mark.asyncio


def _rules() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


async def test_one_with_directories_of_its_own_changes_nothing() -> None:
    require_own_network()
    with host_directory() as directory, host_directory() as other:
        async with running(settings_in(directory)):
            before = _rules()
            flags = {"network.subnet4": "10.77.0.0/16", "wake.ignore_source_cidrs": "192.0.2.0/24"}
            with pytest.raises(HostError, match="another agent in this network namespace"):
                await HostAgent(settings_in(other, **flags)).start()
            assert _rules() == before
            assert not (other / "run" / "gate").exists()


async def test_one_with_the_same_directories_is_told_so() -> None:
    require_own_network()
    with host_directory() as directory:
        async with running(settings_in(directory)):
            with pytest.raises(HostError, match=f"another agent runs with {directory}"):
                await HostAgent(settings_in(directory)).start()
