"""Agents come and go, machines are started again, journals are damaged: instances stay."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hostagent.activity.evidence import Evidence
from hostagent.errors import HostError
from hostagent.instances.faults import FaultPoint
from hostagent.instances.journal import Journal, JournalDamagedError, recover
from hostagent.instances.model import InstanceId, Level
from hostagent.instances.registry import Instance
from tests.hostagent.agents import (
    address_of,
    answer,
    client,
    echo,
    eventually_served,
    host_directory,
    running,
    served,
    settings_in,
)
from tests.hostagent.own_host import require_own_network
from tests.waiting import until


@pytest.fixture
def directory() -> Iterator[Path]:
    require_own_network()
    with host_directory() as path:
        yield path


def nobody(instance: InstanceId) -> Evidence | None:
    return None


async def _serves(instance: Instance) -> None:
    assert await eventually_served("tcp", address_of(instance))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_who_comes_while_there_is_no_agent_is_served_by_the_next(directory: Path, kind: str) -> None:
    settings = settings_in(directory)
    async with running(settings, take_down=False) as agent:
        instance = await agent.lifecycle.create(echo(idle_timeout=3600.0))
        await _serves(instance)
        await agent.lifecycle.sleep(instance, Level.FROZEN, reason="test", still_idle=nobody)
        host = address_of(instance)
    sock = await asyncio.to_thread(client, kind, host)
    async with running(settings) as agent:
        assert await asyncio.to_thread(answer, sock) == b"hello"
        (instance,) = agent.lifecycle.registry
        assert instance.level is Level.AWAKE


async def test_an_agent_that_ends_while_somebody_falls_asleep(directory: Path) -> None:
    settings = settings_in(directory)
    reached, ended = asyncio.Event(), asyncio.Event()

    async def wait(point: FaultPoint, instance: InstanceId) -> None:
        if point is FaultPoint.SLEEP_FROZEN:
            reached.set()
            await asyncio.wait_for(ended.wait(), 0.5) if not ended.is_set() else None

    async with running(settings, wait, take_down=False) as agent:
        instance = await agent.lifecycle.create(echo(idle_timeout=0.1))
        await asyncio.wait_for(reached.wait(), 5)
        asyncio.get_running_loop().call_later(0.1, ended.set)
    async with running(settings_in(directory)) as agent:
        (instance,) = agent.lifecycle.registry
        # with so short a time-out it may be falling asleep again already
        await until(lambda: instance.record.intent is None, within=5, what="nothing is left half done")
        assert await served("udp", address_of(instance))


async def test_after_a_reboot_who_may_sleep_waits_for_a_packet_and_others_run(directory: Path) -> None:
    settings = settings_in(directory)
    async with running(settings, take_down=False) as agent:
        for spec in (echo("sleeper", idle_timeout=3600.0), echo("runner"), echo("ended")):
            await agent.lifecycle.create(spec)
        records = {one.name: one.record for one in agent.lifecycle.registry}
    for record in records.values():
        assert record.process is not None
        os.kill(record.process.pid, signal.SIGKILL)
    journal = Journal(settings.journal)
    for name in ("sleeper", "runner"):  # as if they had run before the last boot
        process = records[name].process
        assert process is not None
        journal.save(replace(records[name], process=replace(process, boot_id="another")))
    journal.close()
    async with running(settings) as agent:
        found = {one.name: one for one in agent.lifecycle.registry}
        assert {name: (one.level, one.wakeable) for name, one in found.items()} == {
            "sleeper": (Level.STOPPED, True),
            "runner": (Level.AWAKE, False),
            "ended": (Level.STOPPED, False),
        }
        assert {one.name: one.record.addresses for one in found.values()} == {
            name: record.addresses for name, record in records.items()
        }
        assert await served("udp", address_of(found["sleeper"]))
        await _serves(found["runner"])


async def test_a_damaged_journal_is_refused_and_recovered_with_everybody_running(directory: Path) -> None:
    settings = settings_in(directory)
    async with running(settings, take_down=False) as agent:
        instance = await agent.lifecycle.create(echo(idle_timeout=3600.0))
        await _serves(instance)
        record = instance.record
    with closing(sqlite3.connect(settings.journal)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = settings.journal.stat().st_size // 4096
    with settings.journal.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * (pages - 1)))
    before = settings.journal.read_bytes()
    with pytest.raises(JournalDamagedError, match="--recover"):
        async with running(settings, take_down=False):
            pass
    assert settings.journal.read_bytes() == before
    assert await served("tcp", str(record.addresses.ipv4))
    aside, count = recover(settings.journal, settings.data_dir / "instances")
    assert (aside.read_bytes(), count) == (before, 1)
    async with running(settings) as agent:
        (instance,) = agent.lifecycle.registry
        assert (instance.id, instance.record.addresses, instance.record.process) == (
            record.id,
            record.addresses,
            record.process,
        )
        assert instance.level is Level.AWAKE
        assert await served("udp", str(record.addresses.ipv6))


async def test_nothing_of_an_agent_that_cannot_start_is_left(directory: Path) -> None:
    settings = settings_in(directory, **{"api.bind": "127.0.0.1:1", "api.token": "0123456789abcdef"})
    settings.journal.parent.mkdir(parents=True)
    settings.journal.write_bytes(b"no journal" * 1000)
    with pytest.raises(HostError, match="damaged"):
        async with running(settings):
            pass
    settings.journal.unlink()
    async with running(settings):
        await until(lambda: settings.socket.exists(), within=5, what="it listens")
