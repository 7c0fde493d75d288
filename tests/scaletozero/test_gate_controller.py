"""The controller with its thread: what callers see of a file that is slow, broken or stuck."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from plugins.scaletozero.commands import Command, GateWriteError, WriteResult
from plugins.scaletozero.gate_controller import GateController, WriteReport
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import PIN, HoldKey
from plugins.scaletozero.marker import NoMarker
from plugins.scaletozero.snapshot import Gate
from tests.scaletozero.flaky_file import FlakyFile, Mode
from tests.scaletozero.simulated_gate import lease, request, session
from tests.waiting import until, wait_until


class Recording(NoMarker):
    """Notes the marker's calls and the file's between them."""

    def __init__(self, file: FlakyFile) -> None:
        self.file = file
        self.calls: list[str] = []

    def before(self, command: Command) -> None:
        self.calls.append(f"before {command.value} file={self.file.written}")

    def after(self, command: Command, result: WriteResult) -> None:
        self.calls.append(f"after {command.value} file={self.file.written} {result.value}")


@pytest.fixture
def file() -> FlakyFile:
    return FlakyFile()


@pytest.fixture
def marker(file: FlakyFile) -> Recording:
    return Recording(file)


@pytest.fixture
def gate(file: FlakyFile, marker: Recording) -> Iterator[GateController]:
    controller = GateController(
        GateState(cooldown=0.02, patience=0.3), file, marker, write_timeout=0.3, drain_timeout=0.3
    )
    controller.start()
    yield controller
    file.set_mode(Mode.WORKS)
    controller.close()
    assert controller.join(5), "the writer did not end"


async def test_a_caller_returns_when_the_file_has_the_plus(gate: GateController, file: FlakyFile) -> None:
    file.set_mode(Mode.SLOW)
    await gate.acquire(session()).waited()
    assert file.written == "+"
    await gate.acquire(request()).waited()
    assert file.written == "+"


async def test_the_minus_comes_after_the_cooldown_by_itself(gate: GateController, file: FlakyFile) -> None:
    await gate.acquire(session()).waited()
    released = time.monotonic()
    await gate.release(session()).waited()
    assert file.written == "+"
    await until(lambda: file.written == "+-", within=5, what="'-' is written")
    assert time.monotonic() - released >= 0.02


async def test_a_lease_ends_by_itself(gate: GateController, file: FlakyFile) -> None:
    await gate.acquire(lease(), ttl=0.05).waited()
    await until(lambda: file.written == "+-", within=5, what="'-' is written")


def test_the_marker_stands_around_each_write(
    gate: GateController, marker: Recording, file: FlakyFile
) -> None:
    gate.acquire(session()).wait()
    gate.drain().wait()
    assert marker.calls == [
        "before + file=",
        "after + file=+ written",
        "before - file=+",
        "after - file=+- written",
    ]


async def test_a_stuck_file_costs_the_loop_nothing(gate: GateController, file: FlakyFile) -> None:
    file.set_mode(Mode.BLOCKS)
    started = time.monotonic()
    with pytest.raises(GateWriteError, match="in time"):
        await gate.acquire(session("ann")).waited()
    assert 0.3 <= time.monotonic() - started < 2
    longest = 0.0
    for n in range(200):
        began = time.monotonic()
        gate.acquire(session(str(n)))
        gate.release(session(str(n)))
        gate.snapshot()
        longest = max(longest, time.monotonic() - began)
    assert longest < 0.25, "a caller waited for the file"
    assert gate.snapshot().gate is Gate.FAILING
    file.set_mode(Mode.WORKS)
    await until(lambda: gate.snapshot().gate is Gate.HELD, within=5, what="the gate is held")
    assert file.written == "+"


async def test_a_request_that_cannot_be_held_is_told_and_withdrawn(
    gate: GateController, file: FlakyFile
) -> None:
    file.set_mode(Mode.FAILS)
    with pytest.raises(GateWriteError, match="errno 5 EIO"):
        await gate.acquire(request()).waited()
    with pytest.raises(GateWriteError, match="errno 5 EIO"):
        gate.acquire(PIN).wait()
    assert gate.snapshot().holds == ()


def test_a_session_is_held_as_soon_as_the_file_works(gate: GateController, file: FlakyFile) -> None:
    file.set_mode(Mode.FAILS)
    with pytest.raises(GateWriteError):
        gate.acquire(session()).wait()
    file.set_mode(Mode.WORKS)
    wait_until(lambda: gate.snapshot().gate is Gate.HELD, within=5, what="the gate is held")
    assert file.written == "+"


def test_a_bug_in_the_file_does_not_end_the_writer(gate: GateController, file: FlakyFile) -> None:
    file.set_mode(Mode.BREAKS)
    with pytest.raises(GateWriteError, match="a bug"):
        gate.acquire(request()).wait()
    file.set_mode(Mode.WORKS)
    gate.acquire(request()).wait()
    assert file.written == "+"


async def test_a_cancelled_request_is_withdrawn_and_a_cancelled_session_stays(
    gate: GateController, file: FlakyFile
) -> None:
    file.set_mode(Mode.BLOCKS)

    async def hold(key: HoldKey) -> None:
        await gate.acquire(key).waited()

    waiting = [asyncio.create_task(hold(key)) for key in (request(), session())]
    await until(lambda: len(gate.snapshot().holds) == 2, within=5, what="both wait")
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert [hold.key for hold in gate.snapshot().holds] == [session()]


async def test_drain_waits_no_longer_than_it_may(gate: GateController, file: FlakyFile) -> None:
    await gate.acquire(session()).waited()
    file.set_mode(Mode.BLOCKS)
    started = time.monotonic()
    with pytest.raises(GateWriteError):
        await gate.drain().waited()
    assert 0.3 <= time.monotonic() - started < 2


def test_the_writer_wakes_up_for_what_comes_before_its_deadline(file: FlakyFile) -> None:
    controller = GateController(GateState(cooldown=60), file, NoMarker(), write_timeout=5, drain_timeout=5)
    controller.start()
    controller.acquire(session()).wait()
    controller.release(session())
    wait_until(lambda: controller.snapshot().gate is Gate.COOLDOWN, within=5, what="the cooldown runs")
    time.sleep(0.05)  # the writer sleeps until its end
    controller.drain().wait()
    assert file.written == "+-"
    controller.close()
    assert controller.join(5)


async def test_drain_ends_as_it_began(gate: GateController, file: FlakyFile) -> None:
    file.counter = 5
    await gate.acquire(session()).waited()
    await gate.acquire(PIN).waited()
    file.set_mode(Mode.SLOW)
    await gate.drain().waited()
    await gate.drain().waited()
    await gate.acquire(session()).waited()
    assert (file.counter, file.written) == (5, "+-")


def test_waiters_from_many_threads_share_one_plus(gate: GateController, file: FlakyFile) -> None:
    file.set_mode(Mode.SLOW)

    def hold(name: str) -> None:
        gate.acquire(request(name)).wait()

    threads = [threading.Thread(target=hold, args=(str(n),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.attempts == "+"
    assert len(gate.snapshot().holds) == 20


def test_observers_see_every_write_and_do_not_disturb_each_other(file: FlakyFile) -> None:
    reports: list[WriteReport] = []

    def fails(report: WriteReport) -> None:
        raise RuntimeError("a broken observer")

    controller = GateController(GateState(cooldown=0), file, NoMarker(), write_timeout=1, drain_timeout=1)
    controller.on_write(fails)
    controller.on_write(reports.append)
    controller.start()
    controller.acquire(session()).wait()
    controller.drain().wait()
    controller.close()
    assert controller.join(5)
    assert [(report.command, report.outcome.result) for report in reports] == [
        (Command.RAISE, WriteResult.WRITTEN),
        (Command.LOWER, WriteResult.WRITTEN),
    ]
    assert all(report.seconds >= 0 for report in reports)


def test_an_adopted_plus_is_taken_back(file: FlakyFile) -> None:
    file.counter = 1
    controller = GateController(GateState(cooldown=0.01), file, NoMarker(), write_timeout=1, drain_timeout=1)
    controller.adopt()
    controller.start()
    wait_until(lambda: file.counter == 0, within=5, what="the counter is where it was")
    controller.close()
    assert controller.join(5)
    assert file.attempts == "-"
