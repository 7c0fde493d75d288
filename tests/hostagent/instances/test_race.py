"""Somebody comes at each step of going to sleep, and is served: real kernel, real runtime, TCP and UDP."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hostagent.activity.evidence import Evidence
from hostagent.app import HostAgent
from hostagent.errors import SleepAborted
from hostagent.instances.events import EventType
from hostagent.instances.faults import SLEEP_POINTS, FaultPoint
from hostagent.instances.journal import JournalError
from hostagent.instances.listening import read_ports
from hostagent.instances.model import InstanceId, Level
from hostagent.instances.registry import Instance
from tests.hostagent.agents import (
    PORT,
    address_of,
    answer,
    client,
    echo,
    host_directory,
    running,
    served,
    settings_in,
)
from tests.hostagent.own_host import require_own_network
from tests.hostagent.swap import swap_file
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Caller:
    """Comes when the instance is at a step."""

    def __init__(self) -> None:
        self.at: FaultPoint | None = None
        self.kind, self.host = "tcp", ""
        self.stopped = False
        """At the step there is no process any more."""
        self.sock: socket.socket | None = None

    def come(self, point: FaultPoint, kind: str, host: str) -> None:
        self.at, self.kind, self.host, self.sock = point, kind, host, None

    @property
    def came(self) -> bool:
        return self.at is None

    async def __call__(self, point: FaultPoint, instance: InstanceId) -> None:
        if point is self.at:
            self.at = None
            waiting = asyncio.get_running_loop().run_in_executor(None, client, self.kind, self.host)
            if self.stopped:
                self.later = waiting  # nobody completes the handshake of a stopped one
            else:
                self.sock = await waiting

    async def served(self) -> bytes:
        if self.sock is None:
            self.sock = await self.later
        return await asyncio.to_thread(answer, self.sock)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller() -> AsyncIterator[Caller]:
    yield Caller()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(caller: Caller) -> AsyncIterator[HostAgent]:
    require_own_network()
    with contextlib.ExitStack() as swap, host_directory() as directory:
        with contextlib.suppress(pytest.skip.Exception):  # then those levels are skipped, with the answer
            swap.enter_context(swap_file(64 << 20))
        async with running(settings_in(directory), caller) as started:
            await started.lifecycle.create(echo())
            yield started


@pytest.fixture
def instance(agent: HostAgent) -> Instance:
    return agent.lifecycle.registry.find("echo")


def _nobody(instance: InstanceId) -> Evidence | None:
    """Decide blindly: only the trap can tell that somebody came."""
    return None


async def _awake(agent: HostAgent, instance: Instance) -> None:
    """Have it run, listen, and not be waking."""
    await agent.lifecycle.wake(instance, "the test begins")
    process = instance.record.process
    assert process is not None
    await until(
        lambda: {("tcp", PORT), ("udp", PORT)} <= read_ports(process.pid).keys(), within=5, what="it listens"
    )
    await until(lambda: instance.waking is None, within=5, what="no wake is under way")


BEFORE_THE_TRAP = (FaultPoint.SLEEP_LOCKED, FaultPoint.SLEEP_INTENT)
"""Who comes then is seen by the looks; afterwards the trap alone has to do."""
CASES = [
    (point, level)
    for point in SLEEP_POINTS
    for level in (Level.FROZEN, Level.RECLAIMED, Level.STOPPED)
    if (point is not FaultPoint.SLEEP_RECLAIMED or level is Level.RECLAIMED)
    and (point is not FaultPoint.SLEEP_STOPPED or level is Level.STOPPED)
]


@pytest.mark.parametrize(("kind", "version"), [("tcp", 4), ("udp", 4), ("tcp", 6), ("udp", 6)])
@pytest.mark.parametrize(("point", "level"), CASES, ids=lambda value: str(value))
async def test_who_comes_at_a_step_is_served(
    agent: HostAgent,
    caller: Caller,
    instance: Instance,
    point: FaultPoint,
    level: Level,
    kind: str,
    version: int,
) -> None:
    support = agent.runtime.levels()[level]
    if not support.supported:
        pytest.skip(support.answer)
    await _awake(agent, instance)
    caller.come(point, kind, address_of(instance, version))
    caller.stopped = level is Level.STOPPED and point in (FaultPoint.SLEEP_STOPPED, FaultPoint.SLEEP_RECORDED)
    pid = instance.record.process
    looks = agent.controller.still_idle if point in BEFORE_THE_TRAP else _nobody
    with contextlib.suppress(SleepAborted):
        await agent.lifecycle.sleep(instance, level, reason="test", still_idle=looks)
    assert caller.came, "the step was not reached"
    assert await caller.served() == b"hello"
    await until(lambda: instance.level is Level.AWAKE, within=5, what="it is awake")
    if level is not Level.STOPPED:
        assert instance.record.process == pid


@pytest.mark.parametrize("point", [p for p in SLEEP_POINTS if p < FaultPoint.SLEEP_RECLAIMED], ids=str)
async def test_evidence_at_a_look_gives_the_sleep_up(
    agent: HostAgent, instance: Instance, point: FaultPoint
) -> None:
    await _awake(agent, instance)
    looks = iter(
        [None, Evidence("gate", "its gate stands at 1")] if "frozen" in point else [Evidence("gate", "1")]
    )
    with pytest.raises(SleepAborted, match="stays awake"):
        await agent.lifecycle.sleep(
            instance, Level.FROZEN, reason="test", still_idle=lambda _: next(looks, None)
        )
    assert instance.level is Level.AWAKE
    assert await served("udp", address_of(instance))
    assert agent.events.history(instance.id)[-1].type is EventType.STANDBY_ABORTED


async def test_a_sleep_decided_on_an_older_generation_is_stale(agent: HostAgent, instance: Instance) -> None:
    await _awake(agent, instance)
    generation = instance.record.generation
    await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    await agent.lifecycle.wake(instance, "test")
    with pytest.raises(SleepAborted, match=f"generation {generation}"):
        await agent.lifecycle.standby(
            instance.id, Level.FROZEN, generation=generation, reason="late", still_idle=_nobody
        )
    assert await served("tcp", address_of(instance))


async def test_many_callers_make_one_wake(agent: HostAgent, instance: Instance) -> None:
    await _awake(agent, instance)
    await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    generation = instance.record.generation
    wakes = [agent.lifecycle.wake(instance, "test") for _ in range(20)]
    packets = [served("tcp", address_of(instance)) for _ in range(4)]
    assert all(await asyncio.gather(*packets))
    await asyncio.gather(*wakes)
    assert instance.record.generation == generation + 1


async def test_a_runtime_that_cannot_freeze_leaves_it_awake(
    agent: HostAgent, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _awake(agent, instance)

    async def refuse(_: InstanceId) -> None:
        raise OSError(5, "the freezer is broken")

    monkeypatch.setattr(agent.runtime, "freeze", refuse)
    with pytest.raises(Exception, match="the freezer is broken"):
        await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    assert instance.level is Level.AWAKE
    assert agent.events.history(instance.id)[-1].type is EventType.STANDBY_FAILED
    assert await served("tcp", address_of(instance))


async def test_with_a_full_disk_it_does_not_sleep_and_does_wake(
    agent: HostAgent, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _awake(agent, instance)
    full = JournalError("the disk is full")

    async def refuse(*_: object) -> None:
        raise full

    journal = agent.lifecycle._parts.journal
    with monkeypatch.context() as patched:
        patched.setattr(journal, "save", refuse)
        with pytest.raises(JournalError, match="the disk is full"):
            await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    assert instance.level is Level.AWAKE
    assert instance.record.intent is None
    await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    with monkeypatch.context() as patched:
        patched.setattr(journal, "save", refuse)
        assert await served("tcp", address_of(instance))
        await until(lambda: instance.waking is None, within=5, what="the wake is over")
    assert await served("udp", address_of(instance, 6))


async def test_one_that_is_killed_in_its_sleep_is_stopped(agent: HostAgent) -> None:
    other = await agent.lifecycle.create(echo("other"))
    await agent.lifecycle.sleep(other, Level.FROZEN, reason="test", still_idle=_nobody)
    assert other.record.process is not None
    os.kill(other.record.process.pid, signal.SIGKILL)
    agent.runtime.thaw(other.id)
    await until(lambda: other.level is Level.STOPPED, within=5, what="its end is noticed")
    await until(lambda: agent.events.history(other.id)[-1].type is EventType.EXIT, within=5, what="and told")
    assert other.record.wanted == "stopped"
    await agent.lifecycle.delete(other)


async def test_a_cancelled_sleep_leaves_it_awake(
    agent: HostAgent, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _awake(agent, instance)
    frozen = asyncio.Event()
    freeze = agent.runtime.freeze

    async def slowly(one: InstanceId) -> None:
        await freeze(one)
        frozen.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(agent.runtime, "freeze", slowly)
    sleep = asyncio.ensure_future(
        agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=_nobody)
    )
    await frozen.wait()
    sleep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleep
    assert instance.level is Level.AWAKE
    assert await served("tcp", address_of(instance))
