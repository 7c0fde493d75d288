"""`catnap serve` as an operator runs it, on a control file that counts like the platform's."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.protocol_client import login, receive_event, socket
from tests.e2e.running_server import RunningServer, running_server
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.scaletozero.moving_picture import FRAME_INTERVAL, Watcher, moving, watching
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

OTHERS = 2
WITHIN = 20.0
BLOCKED = 2.0
"""Seconds that a write is blocked."""
WINDOW = 2.3
"""Seconds of picture that are looked at, from just before somebody comes and the gate writes."""
FEWEST, MOST = 3, 11
"""Pairs of windows, with and without a blocked write, whose medians are compared: more on a busy machine."""


@pytest.fixture
def file() -> Iterator[FuseControlFile]:
    with FuseControlFile(OTHERS) as file:
        yield file


def serve(file: FuseControlFile, **settings: object) -> dict[str, Any]:
    return {
        "desktop": {"screen": "640x360@30", "max_screen": "640x360"},
        "scaletozero": {"control_file": str(file.path), **settings},
    }


def gate_health(server: RunningServer) -> str:
    token = login(server, "admin", "test-admin")
    report = httpx.get(f"{server.url}api/health", headers={"Authorization": f"Bearer {token}"}).json()
    return json.dumps(report["parts"]["scaletozero"])


def metrics(server: RunningServer) -> str:
    return httpx.get(f"{server.url}metrics").text


async def test_killed_and_started_again_it_ends_where_it_began(file: FuseControlFile) -> None:
    with running_server(**serve(file, cooldown="1h")) as server:
        async with socket(server, login(server)) as connection:
            await receive_event(connection, "system/init")
            assert (file.taken, file.value) == ("+", OTHERS + 1)
            server.signal(signal.SIGKILL)
            assert server.wait() == -signal.SIGKILL
        server.start()
        assert server.lines("taking back what an earlier run left")
        assert file.attempts == "+", "it waits for the cooldown, since somebody may come back"
        async with socket(server, login(server)) as connection:
            await receive_event(connection, "system/init")
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        assert (file.attempts, file.value) == ("+-", OTHERS)


@pytest.fixture(scope="module")
def sick() -> Iterator[tuple[RunningServer, FuseControlFile]]:
    """One server for the rest of this file; its control file takes nothing."""
    with FuseControlFile(OTHERS) as file:
        file.fail(errno.EIO)
        with running_server(**serve(file)) as server:
            yield server, file


async def test_a_file_that_fails_shows_in_health_and_metrics(
    sick: tuple[RunningServer, FuseControlFile],
) -> None:
    server, _ = sick
    async with socket(server, login(server)) as connection:
        await receive_event(connection, "system/init")
        assert "EIO" in gate_health(server)
        assert "degraded" in gate_health(server)
        assert 'scaletozero_writes_total{command="+",result="failed"}' in metrics(server)
        assert "scaletozero_disabled 0.0" in metrics(server)


async def test_a_blocked_write_costs_viewers_nothing(sick: tuple[RunningServer, FuseControlFile]) -> None:
    """Each newcomer has the gate try at once: the write fails, after 2 s or at once."""
    server, file = sick
    with moving(server.display):
        async with socket(server, login(server)) as connection, watching(connection) as watcher:
            await until(lambda: len(watcher.arrivals) > 30, within=WITHIN, what="the picture moves")
            blocked: list[float] = []
            free: list[float] = []
            more = float("inf")
            while len(free) < FEWEST or (more > FRAME_INTERVAL and len(free) < MOST):
                free.append(await longest_gap(server, file, watcher, 0.0))
                blocked.append(await longest_gap(server, file, watcher, BLOCKED))
                more = statistics.median(blocked) - statistics.median(free)
            print(f"longest gaps with a blocked write {blocked}, without {free}")
            assert more <= FRAME_INTERVAL, f"{more:.3f} s more: {blocked} against {free}"


async def test_a_file_that_works_again_is_used_and_left_as_it_was(
    sick: tuple[RunningServer, FuseControlFile],
) -> None:
    server, file = sick
    async with socket(server, login(server)) as connection:
        await receive_event(connection, "system/init")
        file.fail(0)
        await until(lambda: file.taken == "+", within=2 * WITHIN, what="the session is held")
        assert "degraded" not in gate_health(server)
        assert "scaletozero_disabled 1.0" in metrics(server)
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    assert (file.taken, file.value) == ("+-", OTHERS)


async def longest_gap(
    server: RunningServer, file: FuseControlFile, watcher: Watcher, seconds: float
) -> float:
    """Let somebody come, so that the gate writes, and return the longest gap in the picture meanwhile."""
    token = await asyncio.to_thread(login, server, "bob")
    file.forget()
    file.block(seconds)
    seen = asyncio.create_task(
        until(lambda: file.blocked if seconds else file.attempts, within=WITHIN, what="the gate writes")
    )
    begin = time.monotonic()
    async with socket(server, token) as newcomer:
        await receive_event(newcomer, "system/init")
        await seen
        await asyncio.sleep(max(0.0, begin + WINDOW - time.monotonic()))
        file.unblock()
        return watcher.longest_gap(begin, time.monotonic())
