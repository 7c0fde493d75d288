"""What must not hold up others: junk to ports where nothing listens, and a disk that is full."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from hostagent.app import HostAgent
from hostagent.instances import waking
from hostagent.instances.journal import JournalError
from hostagent.instances.model import InstanceId, Level
from hostagent.instances.registry import Instance
from tests.hostagent.agents import address_of, echo, host_directory, running, served, settings_in
from tests.hostagent.own_host import require_own_network
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY_LISTENS = 4444


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent() -> AsyncIterator[HostAgent]:
    require_own_network()
    with host_directory() as directory:
        async with running(settings_in(directory, **{"wake.max_concurrent": "1"})) as started:
            yield started


def _idle(instance: InstanceId) -> None:
    return None


async def _stopped(agent: HostAgent, name: str, seconds: float = 0.0) -> Instance:
    """Make a service that listens so many seconds after its start, and is asleep now."""
    spec = echo(name)
    spec = replace(spec, command=("/bin/sh", "-c", f'sleep {seconds}; exec "$@"', "sh", *spec.command))
    instance = await agent.lifecycle.create(spec)
    await agent.lifecycle.sleep(instance, Level.STOPPED, reason="test", still_idle=_idle)
    return instance


def _junk(instance: Instance) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"junk", (address_of(instance), NOBODY_LISTENS))


async def test_who_calls_after_junk_is_served_once_the_service_listens(agent: HostAgent) -> None:
    instance = await _stopped(agent, "scanned", 1.5)
    _junk(instance)
    await until(lambda: instance.level is Level.AWAKE, within=5, what="the junk wakes it")
    await asyncio.sleep(0.2)  # it has been seen what the junk is for
    began = time.monotonic()
    assert await served("tcp", address_of(instance), within=9)
    assert time.monotonic() - began < 0.8 * agent.settings.wake.deadline
    await agent.lifecycle.delete(instance)


async def test_junk_to_one_holds_up_no_other(agent: HostAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_TURN", 0.2)
    scanned, other = await _stopped(agent, "scanned"), await _stopped(agent, "other")
    third = await agent.lifecycle.create(echo("third"))
    _junk(scanned)
    await until(lambda: scanned.waking is not None, within=5, what="the junk wakes it")
    assert await served("tcp", address_of(other), within=9)
    async with asyncio.timeout(8):
        await agent.lifecycle.sleep(third, Level.FROZEN, reason="test", still_idle=_idle)
    assert scanned.waking is not None, "all that happened while it waited"
    await until(lambda: scanned.waking is None, within=15, what="it is given up")
    for one in (scanned, other, third):
        await agent.lifecycle.delete(one)


async def test_on_a_full_disk_instances_can_be_removed(
    agent: HostAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = await agent.lifecycle.create(echo("large"))

    async def refuse(*_: object) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(agent.lifecycle._parts.journal, "save", refuse)
        await agent.lifecycle.delete(instance)
    assert not agent.settings.instance_dir(instance.id).exists()
    assert instance.id not in [record.id for record in await agent.lifecycle._parts.journal.records()]


async def test_what_cannot_be_taken_down_keeps_nothing_else_up(
    agent: HostAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await agent.lifecycle.create(echo(name)) for name in ("first", "second")]
    detach = agent.network.detach

    async def refuse(instance: InstanceId, *rest: object) -> None:
        if instance == first.id:
            raise OSError("the cable is stuck")
        await detach(instance, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(agent.network, "detach", refuse)
        await agent.lifecycle.take_down(remove=True)
    assert (first.deleted, second.deleted) == (False, True)
    with contextlib.suppress(OSError):
        await agent.lifecycle.delete(first)
    assert first.deleted
