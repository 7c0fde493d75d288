"""The plugin with the real session manager on a file that fails, blocks, disappears and comes back."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streamserver.plugins.health import HealthStatus
from tests.scaletozero.conftest import Said
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.scaletozero.server_parts import Server
from tests.waiting import until

WITHIN = 15.0
OTHERS = 2
"""What is in the counter that is not ours."""


@pytest.fixture(scope="module")
def mounted() -> Iterator[FuseControlFile]:
    with FuseControlFile() as file:
        yield file


@pytest.fixture
def file(mounted: FuseControlFile) -> FuseControlFile:
    mounted.reset(OTHERS)
    return mounted


@pytest.fixture
async def server(tmp_path: Path, file: FuseControlFile) -> AsyncIterator[Server]:
    server = Server(tmp_path / "run")
    await server.sessions.start()
    yield server
    file.unblock()
    await server.plugin.shutdown()
    await server.sessions.stop()


def status(server: Server) -> HealthStatus:
    return server.health.check()["scaletozero"].status


def failed(server: Server, command: str) -> float:
    return server.metric("scaletozero_writes_total", command=command, result="failed") or 0


async def leaves(server: Server, name: str = "ann") -> None:
    session = server.sessions.get(name)
    assert session is not None
    server.sessions.disconnect(session.id, "left")


async def test_a_visit_leaves_the_counter_as_it_was(server: Server, file: FuseControlFile) -> None:
    await server.start(file.path)
    await server.join("ann")
    assert file.value == OTHERS + 1
    await leaves(server)
    await until(lambda: file.value == OTHERS, within=WITHIN, what="ours is taken back")
    assert file.taken == "+-"


async def test_a_session_whose_plus_fails_is_not_refused_and_is_held_as_soon_as_the_file_works(
    server: Server, file: FuseControlFile
) -> None:
    file.fail(errno.EIO)
    await server.start(file.path)
    ann, socket = await server.join("ann")
    assert ann.is_connected
    assert socket.closed is None
    assert status(server) is HealthStatus.DEGRADED
    await until(lambda: failed(server, "+") >= 3, within=WITHIN, what="it is tried again and again")
    assert server.metric("scaletozero_disabled") == 0
    file.fail(0)
    await until(lambda: server.metric("scaletozero_disabled") == 1, within=WITHIN, what="it is held")
    assert file.taken == "+"
    assert status(server) is HealthStatus.OK


async def test_a_minus_that_fails_is_retried_with_back_off_until_it_is_written(
    server: Server, file: FuseControlFile, said: Said
) -> None:
    await server.start(file.path)
    await server.join("ann")
    file.fail(errno.EIO)
    left = time.monotonic()
    await leaves(server)
    await until(lambda: failed(server, "-") >= 1, within=WITHIN, what="it has failed")
    report = server.health.check()["scaletozero"]
    assert report.status is HealthStatus.DEGRADED
    assert "stays awake" in report.summary
    assert "EIO" in report.summary
    await until(lambda: failed(server, "-") >= 5, within=WITHIN, what="it was tried five times")
    assert time.monotonic() - left >= 0.1 + 0.2 + 0.4 + 0.8
    lines = said.of("cannot write the control file")[:5]
    assert [line["attempt"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["retry_in"] for line in lines] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert server.metric("scaletozero_disabled") == 1
    file.fail(0)
    await until(lambda: file.value == OTHERS, within=WITHIN, what="ours is taken back")
    await until(lambda: status(server) is HealthStatus.OK, within=WITHIN, what="all is well")
    assert file.taken == "+-"


async def test_a_file_that_is_absent_and_appears_is_found_by_the_next_visitor(
    server: Server, file: FuseControlFile
) -> None:
    file.disappear()
    await server.start(file.path)
    await server.join("ann")
    assert file.attempts == ""
    file.come_back()
    await server.join("bob")
    assert file.taken == "+"
    await leaves(server, "ann")
    await leaves(server, "bob")
    await until(lambda: file.value == OTHERS, within=WITHIN, what="ours is taken back")


async def test_a_file_that_was_absent_gets_no_minus(server: Server, file: FuseControlFile) -> None:
    file.disappear()
    await server.start(file.path)
    await server.join("ann")
    file.come_back()
    await leaves(server)
    await server.plugin.shutdown()
    assert (file.attempts, file.value) == ("", OTHERS)


async def test_a_file_that_disappears_while_we_hold_is_lowered_when_it_is_back(
    server: Server, file: FuseControlFile
) -> None:
    await server.start(file.path)
    await server.join("ann")
    file.disappear()
    await leaves(server)
    await until(lambda: status(server) is HealthStatus.DEGRADED, within=WITHIN, what="it is said")
    file.come_back()
    await until(lambda: file.value == OTHERS, within=WITHIN, what="ours is taken back")
    assert file.taken == "+-"


async def test_who_comes_while_minus_is_in_flight_is_held_before_he_is_told_anything(
    server: Server, file: FuseControlFile
) -> None:
    await server.start(file.path, cooldown=0, write_timeout=30)
    await server.join("ann")
    file.block()
    await leaves(server)
    await until(lambda: file.blocked, within=WITHIN, what="'-' is in flight")
    told: list[str] = []
    server.sessions.events.connected.subscribe(lambda session: told.append(file.taken))
    joining = asyncio.create_task(server.join("bob"))
    await asyncio.sleep(0.1)
    assert told == []
    file.unblock()
    await asyncio.wait_for(joining, WITHIN)
    assert told == ["+-+"]
    assert file.value == OTHERS + 1


async def test_a_write_that_blocks_for_2_seconds_delays_a_visitor_no_longer_than_the_write_timeout(
    server: Server, file: FuseControlFile
) -> None:
    await server.start(file.path, write_timeout=0.3)
    file.block(2)
    began = time.monotonic()
    await server.join("ann")
    waited = time.monotonic() - began
    assert file.blocked
    assert 0.3 <= waited < 2
    assert status(server) is HealthStatus.DEGRADED
    await until(lambda: server.metric("scaletozero_disabled") == 1, within=WITHIN, what="it is held")
    assert status(server) is HealthStatus.OK
    assert file.attempts == "+"


async def test_many_who_come_and_go_write_pairs_that_end_where_they_began(
    server: Server, file: FuseControlFile
) -> None:
    await server.start(file.path, cooldown=0)
    for number in range(20):
        await server.join(f"guest{number}")
        await leaves(server, f"guest{number}")
    await server.plugin.shutdown()
    assert file.value == OTHERS
    assert "++" not in file.taken
    assert "--" not in file.taken
    assert file.refused == 0
