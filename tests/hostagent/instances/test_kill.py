"""The agent is killed at each step of each transition; the next has every instance, once, where it was."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from hostagent.app import HostAgent
from hostagent.instances.faults import FaultPoint
from hostagent.instances.model import Level
from hostagent.instances.registry import Instance
from tests.hostagent.agents import (
    COMMAND,
    address_of,
    eventually_served,
    host_directory,
    running,
    served,
    settings_in,
)
from tests.hostagent.doomed import NAME
from tests.hostagent.own_host import require_own_network
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TREE = Path(__file__).parents[3]


@dataclass
class Doom:
    """Agents that will be killed, and where."""

    directory: Path
    process: subprocess.Popen[str]

    def kill(self, action: str, point: FaultPoint) -> list[str] | None:
        """Have an agent killed at a point; return id and addresses of the instance before."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"directory": str(self.directory), "action": action, "point": point.value}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["signal"] == 9, f"the agent did not come to {point}"
        before: list[str] | None = answer["before"]
        return before


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    require_own_network()
    with host_directory() as path:
        yield path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doom(directory: Path) -> AsyncIterator[Doom]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hostagent.doomed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=TREE,
    ) as process:
        try:
            yield Doom(directory, process)
        finally:
            process.kill()
            async with running(settings_in(directory)):
                pass  # and take all down


def _commands() -> list[int]:
    """Return the processes of doomed instances of these tests."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                own = (entry / "ns" / "net").stat().st_ino
            except OSError:
                continue
            if words[: len(COMMAND)] == [word.encode() for word in COMMAND] and own in _OURS:
                found.append(int(entry.name))
    return found


_OURS: set[int] = set()
"""The network namespaces of instances that were checked."""


async def _check(agent: HostAgent, before: list[str] | None) -> Instance:
    (instance,) = agent.lifecycle.registry
    addresses = instance.record.addresses
    if before is not None:
        assert [instance.id, str(addresses.ipv4), str(addresses.ipv6)] == before
    assert instance.trouble is None
    assert instance.record.intent is None
    _OURS.add((Path("/run/netns") / addresses.netns).stat().st_ino)
    return instance


def _gate(directory: Path, instance: str) -> str:
    return (directory / "run" / "gate" / "files" / instance).read_text().strip()


SLEEP = [point for point in FaultPoint if point.startswith("sleep.")]
STAY = [
    *[("sleep:frozen", p) for p in SLEEP if p not in (FaultPoint.SLEEP_RECLAIMED, FaultPoint.SLEEP_STOPPED)],
    *[
        ("sleep:stopped", p)
        for p in (FaultPoint.SLEEP_RECHECKED, FaultPoint.SLEEP_STOPPED, FaultPoint.SLEEP_RECORDED)
    ],
    *[
        ("wake:frozen", p)
        for p in (FaultPoint.WAKE_THAWED, FaultPoint.WAKE_UNTRAPPED, FaultPoint.WAKE_RECORDED)
    ],
    ("wake:stopped", FaultPoint.WAKE_INTENT),
    ("wake:stopped", FaultPoint.START_GATED),
    ("wake:stopped", FaultPoint.START_LAUNCHED),
    *[("start", p) for p in FaultPoint if p.startswith("start.")],
]


@pytest.mark.parametrize(("action", "point"), STAY, ids=str)
async def test_it_runs_or_wakes_after_the_agent_was_killed(
    doom: Doom, directory: Path, action: str, point: FaultPoint
) -> None:
    before = doom.kill(action, point)
    assert before is not None
    assert _gate(directory, before[0]) == "=0"
    async with running(settings_in(directory), take_down=False) as agent:
        instance = await _check(agent, before)
        reached = action.startswith("sleep") and point is FaultPoint.SLEEP_RECORDED
        if reached:
            assert instance.level in (Level.FROZEN, Level.STOPPED)
        assert await _answers(instance, "udp" if instance.level is not Level.AWAKE else "tcp")
        assert await served("tcp", address_of(instance, 6))
        await until(lambda: len(_commands()) == 1, within=5, what="its command runs once")


async def _answers(instance: Instance, kind: str) -> bool:
    """Tell whether somebody is served who comes now; a start may still be on its way."""
    return await eventually_served(kind, address_of(instance))


@pytest.mark.parametrize("point", [p for p in FaultPoint if p.startswith("stop.")], ids=str)
async def test_a_stop_is_finished(doom: Doom, directory: Path, point: FaultPoint) -> None:
    before = doom.kill("stop", point)
    async with running(settings_in(directory), take_down=False) as agent:
        instance = await _check(agent, before)
        assert (instance.level, instance.record.wanted) == (Level.STOPPED, "stopped")
        assert _commands() == []
        assert not await served("tcp", address_of(instance), within=0.2)
        await agent.lifecycle.start_instance(instance)
        assert await _answers(instance, "tcp")


@pytest.mark.parametrize("point", [p for p in FaultPoint if p.startswith("delete.")], ids=str)
async def test_a_removal_is_finished(doom: Doom, directory: Path, point: FaultPoint) -> None:
    before = doom.kill("delete", point)
    assert before is not None
    async with running(settings_in(directory), take_down=False) as agent:
        assert list(agent.lifecycle.registry) == []
        assert _commands() == []
        assert not (directory / "data" / "instances" / before[0]).exists()
        assert not list(Path("/run/netns").glob(f"*{before[0]}*"))


@pytest.mark.parametrize(
    "point", [FaultPoint.CREATE_RECORDED, FaultPoint.START_ATTACHED, FaultPoint.START_LAUNCHED], ids=str
)
async def test_a_creation_is_finished(doom: Doom, directory: Path, point: FaultPoint) -> None:
    doom.kill("create", point)
    async with running(settings_in(directory), take_down=False) as agent:
        instance = await _check(agent, None)
        assert instance.name == NAME
        assert instance.level is Level.AWAKE
        assert await _answers(instance, "tcp")
        assert len(_commands()) == 1
