"""Freezing, thawing and giving memory back, with the kernel's own freezers."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hostagent.errors import HostError, InvalidStateError, UnsupportedError
from hostagent.instances.model import Level
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process import cgroup as cgroup_room
from hostagent.runtimes.process import runtime as runtime_room
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.hierarchies import Hierarchies, find_hierarchies
from hostagent.runtimes.process.probes import remove_group
from hostagent.runtimes.process.runtime import ProcessRuntime
from tests.hostagent.runtimes.conftest import new_group
from tests.hostagent.swap import swap_file
from tests.waiting import until

Planner = Callable[..., LaunchPlan]

SERVER = """
import socket, sys
kept = bytearray(b"x") * int(sys.argv[2])
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    while data := connection.recv(100):
        connection.sendall(data)
"""


def server(port: int, held: int) -> tuple[str, ...]:
    """Return a command that holds that many bytes of memory and answers at the port."""
    return ("/usr/bin/python3", "-c", SERVER, str(port), str(held))


@pytest.fixture(params=["v2", "v1"])
async def sleeper(request: pytest.FixtureRequest) -> AsyncIterator[ProcessRuntime]:
    """A runtime with each of the two freezers that a host may have."""
    found = find_hierarchies()
    if request.param == "v2" and found.unified is None:
        pytest.skip("this machine has no cgroup v2")
    if request.param == "v1":
        if found.freezer is None:
            pytest.skip("this machine has no freezer of cgroup v1")
        found = Hierarchies(None, False, found.freezer, found.memory)
    opened = ProcessRuntime(found, {}, new_group())
    yield opened
    for instance in opened.known():
        await opened.destroy(instance)
    opened.close()
    await opened.teardown()


def ticker(plan: LaunchPlan) -> int:
    """Return how far the instance has counted."""
    try:
        return (plan.data_directory / "output.log").read_text().count("\n")
    except FileNotFoundError:
        return 0


async def ticking(runtime: ProcessRuntime, plan: Planner) -> LaunchPlan:
    """Start something that never stands still unless it is frozen."""
    wanted = plan("sh", "-c", "trap 'exit 5' TERM; while :; do echo .; sleep 0.01; done")
    await runtime.start(wanted)
    await until(lambda: ticker(wanted) > 2, within=10, what="it runs")
    return wanted


async def test_a_frozen_one_stands_still_and_a_thawed_one_goes_on(
    sleeper: ProcessRuntime, plan: Planner
) -> None:
    wanted = await ticking(sleeper, plan)
    await sleeper.freeze(wanted.id)
    before = ticker(wanted)
    assert (await sleeper.inspect(wanted.id, None)).frozen
    await sleeper.freeze(wanted.id)
    await asyncio.sleep(0.1)
    assert ticker(wanted) == before
    sleeper.thaw(wanted.id)
    sleeper.thaw(wanted.id)
    assert not (await sleeper.inspect(wanted.id, None)).frozen
    await until(lambda: ticker(wanted) > before, within=5, what="it goes on")


async def test_a_frozen_one_can_be_asked_to_end(sleeper: ProcessRuntime, plan: Planner) -> None:
    wanted = await ticking(sleeper, plan)
    await sleeper.freeze(wanted.id)
    assert await sleeper.stop(wanted.id, 10) == 5


async def test_a_frozen_one_can_be_destroyed(sleeper: ProcessRuntime, plan: Planner) -> None:
    wanted = await ticking(sleeper, plan)
    stamp = (await sleeper.inspect(wanted.id, None)).process
    assert stamp
    await sleeper.freeze(wanted.id)
    await sleeper.destroy(wanted.id)
    assert not Path(f"/proc/{stamp.pid}").exists()
    assert (await sleeper.inspect(wanted.id, stamp)).process is None


async def test_the_end_of_a_frozen_one_by_others_is_told(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = await ticking(runtime, plan)
    told: list[int | None] = []
    runtime.on_exit(wanted.id, told.append)
    stop = runtime.on_exit(wanted.id, lambda status: pytest.fail("was told to stop"))
    stop()
    stop()
    await runtime.freeze(wanted.id)
    stamp = (await runtime.inspect(wanted.id, None)).process
    assert stamp
    os.kill(stamp.pid, signal.SIGKILL)
    await until(lambda: told, within=10, what="its end is told")
    assert told == [-signal.SIGKILL]
    runtime.thaw(wanted.id)
    with pytest.raises(InvalidStateError, match="does not run"):
        await runtime.freeze(wanted.id)
    assert await runtime.stop(wanted.id, 1) == -signal.SIGKILL


async def test_what_does_not_freeze_is_awake_again(
    sleeper: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await ticking(sleeper, plan)
    monkeypatch.setattr(cgroup_room, "FREEZE_DEADLINE", 0.05)
    monkeypatch.setattr(Cgroup, "is_frozen", lambda self: False)
    with pytest.raises(
        HostError, match=r"did not freeze within 0.05 s: processes \d+ in state .* awake again"
    ):
        await sleeper.freeze(wanted.id)
    monkeypatch.undo()
    before = ticker(wanted)
    await until(lambda: ticker(wanted) > before, within=5, what="it goes on")


async def test_a_freeze_that_is_given_up_leaves_it_awake(
    sleeper: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await ticking(sleeper, plan)
    monkeypatch.setattr(Cgroup, "is_frozen", lambda self: False)
    task = asyncio.create_task(sleeper.freeze(wanted.id))
    await asyncio.sleep(0.03)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    monkeypatch.undo()
    assert not (await sleeper.inspect(wanted.id, None)).frozen


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_what_was_left_frozen_without_an_instance_can_be_removed(version: str) -> None:
    found = find_hierarchies()
    if version == "v1":
        found = Hierarchies(None, False, found.freezer, found.memory)
    if not (found.unified or found.freezer):
        pytest.skip(f"this machine has no freezer of cgroup {version}")
    group = new_group()
    cgroup = Cgroup(found, f"{group}/left")
    cgroup.make()
    child = await asyncio.create_subprocess_exec("sleep", "60")
    for directory in cgroup.directories:
        (directory / "cgroup.procs").write_text(str(child.pid))
    await cgroup.freeze()
    try:
        waiting = asyncio.create_task(child.wait())
        await cgroup.remove()
        assert await waiting == -signal.SIGKILL
        assert not cgroup.exists()
    finally:
        remove_group(found, group)


@pytest.mark.alone
async def test_a_thaw_is_a_matter_of_microseconds(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = await ticking(runtime, plan)
    took = []
    for _ in range(20):
        await runtime.freeze(wanted.id)
        before = time.perf_counter()
        runtime.thaw(wanted.id)
        took.append(time.perf_counter() - before)
    assert sorted(took)[10] < 0.0005


async def test_callers_are_let_in_by_the_kernel_while_it_is_frozen(
    runtime: ProcessRuntime, plan: Planner
) -> None:
    wanted = plan(*server(7007, 1))
    await runtime.start(wanted)
    address = (str(wanted.addresses.ipv4), 7007)

    def call() -> socket.socket | None:
        try:
            return socket.create_connection(address, timeout=5)
        except ConnectionRefusedError:
            return None

    kept = await until(call, within=10, what="it listens")
    assert kept
    with kept:
        kept.sendall(b"one")
        assert kept.recv(3) == b"one"
        await runtime.freeze(wanted.id)
        kept.sendall(b"two")
        kept.settimeout(0.1)
        with pytest.raises(TimeoutError):
            kept.recv(3)
        with socket.create_connection(address, timeout=5):
            pass
        runtime.thaw(wanted.id)
        kept.settimeout(5)
        assert kept.recv(3) == b"two"


async def test_memory_goes_to_swap_and_comes_back(runtime: ProcessRuntime, plan: Planner) -> None:
    held = 64 << 20
    wanted = plan(*server(7008, held))
    await runtime.start(wanted)
    address = (str(wanted.addresses.ipv4), 7008)

    def call() -> bool:
        try:
            with socket.create_connection(address, timeout=5):
                return True
        except ConnectionRefusedError:
            return False

    await until(call, within=10, what="it listens")
    with pytest.raises(InvalidStateError, match="not frozen"):
        await runtime.reclaim(wanted.id)
    await runtime.freeze(wanted.id)
    with swap_file():
        probed = await ProcessRuntime.open(new_group())
        support = probed.levels()[Level.RECLAIMED]
        await probed.teardown()
        if not support.supported:
            pytest.skip(f"memory cannot be given back here: {support.answer}")
        before = (await runtime.inspect(wanted.id, None)).memory_bytes
        given_back = await runtime.reclaim(wanted.id)
        after = (await runtime.inspect(wanted.id, None)).memory_bytes
        assert before is not None
        assert after is not None
        assert before > held
        assert given_back > held * 0.9
        assert after < held * 0.2
        assert (await runtime.inspect(wanted.id, None)).frozen
        runtime.thaw(wanted.id)
        assert call()
        # somebody comes while memory is being taken: it is not held up
        await runtime.freeze(wanted.id)
        taking = asyncio.create_task(runtime.reclaim(wanted.id))
        await asyncio.sleep(0.005)
        runtime.thaw(wanted.id)
        assert await asyncio.to_thread(call)
        await taking
        await runtime.stop(wanted.id, 5)


async def test_without_swap_memory_stays(
    runtime: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await ticking(runtime, plan)
    await runtime.freeze(wanted.id)
    monkeypatch.setattr(runtime_room, "swap_free", lambda: 0)
    with pytest.raises(UnsupportedError, match="no free swap"):
        await runtime.reclaim(wanted.id)


def test_memory_of_cgroup_v2_is_asked_back_in_parts_while_it_sleeps(tmp_path: Path) -> None:
    # stands for a host with the memory controller in v2, which few test machines have
    group = tmp_path / "group"
    group.mkdir()
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    (group / "memory.current").write_text(str(100 << 20))
    reclaim = group / "memory.reclaim"
    reclaim.touch()
    asked: list[int] = []

    class Watched(Cgroup):
        def is_frozen(self) -> bool:
            if text := reclaim.read_text():
                asked.append(int(text))
                reclaim.write_text("")
            return super().is_frozen()

    Watched(Hierarchies(tmp_path, True, None, None), "group").reclaim()
    asked.append(int(reclaim.read_text()))
    assert asked == [64 << 20, 36 << 20]
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    reclaim.write_text("")
    Watched(Hierarchies(tmp_path, True, None, None), "group").reclaim()
    assert reclaim.read_text() == ""
