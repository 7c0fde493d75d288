"""However the server ends, short of `kill -9`, the counter is where we found it."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from plugins.scaletozero.marker import MARKER
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.scaletozero.server_parts import Server
from tests.scaletozero.small_app import ACCIDENTS, start_app
from tests.waiting import until, wait_until

FOUND = 2
"""What is in the counter before we come."""


@pytest.fixture(scope="module")
def mounted() -> Iterator[FuseControlFile]:
    with FuseControlFile() as file:
        yield file


@pytest.fixture
def file(mounted: FuseControlFile) -> FuseControlFile:
    mounted.reset(FOUND)
    return mounted


Start = Callable[..., BaseProcess]


@pytest.fixture
def start(file: FuseControlFile, tmp_path: Path) -> Iterator[Start]:
    started: list[BaseProcess] = []

    def start(accident: str = "", **settings: object) -> BaseProcess:
        process = start_app(file.path, tmp_path / "run", tmp_path / "log", accident, **settings)
        started.append(process)
        return process

    yield start
    file.unblock()
    for process in started:
        process.kill()
        process.join(10)


def log(tmp_path: Path) -> str:
    return (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_our_plus_back(
    number: signal.Signals, file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    server = start()
    wait_until(lambda: file.taken == "+", within=20, what="somebody is held")
    os.kill(server.pid or 0, number)
    server.join(20)
    assert server.exitcode == 0, log(tmp_path)
    assert (file.attempts, file.value) == ("+-", FOUND)
    assert "shutdown started, re-enabling scale-to-zero (pending: 1)" in log(tmp_path)
    assert not (tmp_path / "run" / MARKER).exists()


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_exception_takes_our_plus_back(
    accident: str, file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    server = start(accident)
    server.join(20)
    assert server.exitcode not in (0, None), log(tmp_path)
    assert (file.attempts, file.value) == ("+-", FOUND)
    assert not (tmp_path / "run" / MARKER).exists()


def test_a_second_signal_leaves_what_the_next_start_takes_back(
    file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    """It ends at once, inside the drain whose `-` is failing."""
    server = start(drain_timeout=2.5)
    wait_until(lambda: file.taken == "+", within=20, what="somebody is held")
    file.fail(errno.EIO)
    os.kill(server.pid or 0, signal.SIGTERM)
    wait_until(lambda: file.attempts.startswith("+--"), within=20, what="the drain tries again")
    os.kill(server.pid or 0, signal.SIGTERM)
    server.join(20)
    assert server.exitcode == 130, log(tmp_path)
    assert file.value == FOUND + 1


async def test_a_drain_that_fails_is_tried_again_then_left_to_the_next_start(
    file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    server = start()
    wait_until(lambda: file.taken == "+", within=20, what="somebody is held")
    file.fail(errno.EIO)
    os.kill(server.pid or 0, signal.SIGTERM)
    server.join(20)
    assert server.exitcode == 0, log(tmp_path)
    assert file.attempts.count("-") >= 3
    assert file.value == FOUND + 1
    assert "is not re-enabled: our '+' may still be in the counter" in log(tmp_path)
    file.fail(0)
    again = Server(tmp_path / "run")
    await again.start(file.path, cooldown=0)
    await until(lambda: file.value == FOUND, within=10, what="the next start takes it back")
    await again.plugin.shutdown()
    assert file.taken == "+-"


async def test_a_drain_that_is_stuck_in_the_write_is_not_guessed_at(
    file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    server = start(drain_timeout=0.3)
    wait_until(lambda: file.taken == "+", within=20, what="somebody is held")
    file.block()
    os.kill(server.pid or 0, signal.SIGTERM)
    wait_until(lambda: "gate=failing" in log(tmp_path), within=20, what="the drain has given up")
    assert "shutdown started, re-enabling scale-to-zero (pending: 1)" in log(tmp_path)
    file.unblock()
    server.join(20)
    assert server.exitcode == 0, log(tmp_path)
    wait_until(lambda: file.taken == "+-", within=10, what="the write has ended")
    again = Server(tmp_path / "run")
    await again.start(file.path, cooldown=0)
    await again.plugin.shutdown()
    assert (file.attempts, file.value) == ("+-", FOUND)


def test_a_plus_that_comes_through_only_at_shutdown_is_taken_back(
    file: FuseControlFile, start: Start, tmp_path: Path
) -> None:
    file.block()
    server = start(drain_timeout=2.5)
    wait_until(lambda: file.blocked, within=20, what="'+' is stuck")
    wait_until(lambda: "gate=failing" in log(tmp_path), within=20, what="the visitor goes on")
    os.kill(server.pid or 0, signal.SIGTERM)
    wait_until(lambda: "stopping" in log(tmp_path), within=20, what="it stops")
    file.unblock()
    server.join(20)
    assert server.exitcode == 0, log(tmp_path)
    assert (file.attempts, file.value) == ("+-", FOUND)
