"""The plugin with the real session manager: who is here is what the control file says."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.scaletozero.settings import ScaleToZeroSettings
from streamserver.plugins.health import HealthStatus
from tests.scaletozero.conftest import Said
from tests.scaletozero.server_parts import PROFILE, CommandPipe, Media, Server, loop_is_quick
from tests.waiting import until

ROOT = Path(__file__).parents[2]
WRITTEN = 5.0
"""Seconds within which a write is expected."""


@pytest.fixture
async def server(tmp_path: Path, pipe: CommandPipe) -> AsyncIterator[Server]:
    server = Server(tmp_path / "run")
    await server.sessions.start()
    yield server
    await server.plugin.shutdown()
    await server.sessions.stop()


@pytest.fixture
async def pipe(tmp_path: Path) -> AsyncIterator[CommandPipe]:
    pipe = CommandPipe(tmp_path / "pipe")
    yield pipe
    pipe.close()


async def test_one_visit_from_start_to_shutdown_is_logged_word_for_word(
    server: Server, pipe: CommandPipe, said: Said
) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    bob, _ = await server.join("bob")
    server.sessions.socket_closed(ann, socket, 1001)
    server.sessions.disconnect(bob.id, "kicked")
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")
    await server.join("cat")
    await server.plugin.shutdown()
    assert said.lines() == [
        "scale-to-zero plugin enabled gate=released",
        "connection started, disabling scale-to-zero (pending: 1) gate=held",
        "connection started, disabling scale-to-zero (pending: 2) gate=held",
        "connection ended, re-enabling scale-to-zero (pending: 1) gate=held",
        "connection ended, re-enabling scale-to-zero (pending: 0) gate=cooldown",
        "connection started, disabling scale-to-zero (pending: 1) gate=held",
        "shutdown started, re-enabling scale-to-zero (pending: 1) gate=released",
    ]
    assert pipe.commands == "+-+-"


async def test_the_plus_is_in_the_file_before_the_client_is_told_anything(
    server: Server, tmp_path: Path
) -> None:
    control = tmp_path / "control"
    control.touch()
    await server.start(control)
    content: list[str] = []
    server.sessions.events.connected.subscribe(lambda session: content.append(control.read_text()))
    await server.join("ann")
    assert content == ["+"]


async def test_a_replaced_connection_is_the_same_hold(server: Server, pipe: CommandPipe, said: Said) -> None:
    """The original counted events: a replacement raised the count twice and lowered it once."""
    await server.start(pipe.path)
    ann, first = await server.join("ann")
    second = await server.connect(ann)
    server.sessions.socket_closed(ann, first, 1006)
    await asyncio.sleep(0.3)
    assert (first.closed, pipe.commands) == ("connection replaced", "+")
    server.sessions.socket_closed(ann, second, 1001)
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")
    assert said.lines()[1:] == [
        "connection started, disabling scale-to-zero (pending: 1) gate=held",
        "connection ended, re-enabling scale-to-zero (pending: 0) gate=cooldown",
    ]


@pytest.mark.parametrize("code", [1000, 1001])
async def test_who_leaves_is_gone_after_the_cooldown(server: Server, pipe: CommandPipe, code: int) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    server.sessions.socket_closed(ann, socket, code)
    assert pipe.commands == "+"
    left = time.monotonic()
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")
    assert time.monotonic() - left >= 0.04


async def test_a_lost_connection_holds_through_the_disconnect_delay(
    server: Server, pipe: CommandPipe
) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    lost = time.monotonic()
    server.sessions.socket_closed(ann, socket, 1006)
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")
    assert time.monotonic() - lost >= 0.24


async def test_a_lost_connection_that_comes_back_writes_nothing(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    server.sessions.socket_closed(ann, socket, 1006)
    await server.connect(ann)
    await asyncio.sleep(0.4)
    assert pipe.commands == "+"


async def test_a_picture_that_still_runs_holds_under_the_same_id(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    media = Media()
    server.sessions.set_media(ann, media)
    server.sessions.set_watching(ann, media, True)
    server.sessions.socket_closed(ann, socket, 1006)
    await until(lambda: not ann.is_connected, within=WRITTEN, what="ann is disconnected")
    await asyncio.sleep(0.2)
    assert pipe.commands == "+"
    server.sessions.set_watching(ann, media, False)
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")


async def test_who_leaves_takes_the_picture_along(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    ann, socket = await server.join("ann")
    media = Media()
    server.sessions.set_media(ann, media)
    server.sessions.set_watching(ann, media, True)
    server.sessions.socket_closed(ann, socket, 1001)
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")


async def test_a_deleted_session_is_gone(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    ann, _ = await server.join("ann")
    server.sessions.delete(ann.id)
    await until(lambda: pipe.commands == "+-", within=WRITTEN, what="'-' is written")


async def test_those_who_were_there_before_are_taken_in(
    server: Server, pipe: CommandPipe, said: Said
) -> None:
    await server.join("ann")
    await server.join("bob")
    await server.start(pipe.path)
    assert pipe.commands == "+"
    assert server.metric("scaletozero_holds", kind="session") == 2
    assert said.lines()[-1] == "connection started, disabling scale-to-zero (pending: 2) gate=held"


async def test_a_shutdown_with_nobody_there_says_so(server: Server, pipe: CommandPipe, said: Said) -> None:
    await server.start(pipe.path)
    await server.plugin.shutdown()
    assert said.lines()[-1] == "shutdown started, re-enabling scale-to-zero (pending: 0) gate=released"
    assert pipe.commands == ""


async def test_after_the_shutdown_sessions_change_nothing(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    await server.join("ann")
    await server.plugin.shutdown()
    await server.join("bob")
    server.sessions.shutdown()
    await asyncio.sleep(0.1)
    assert pipe.commands == "+-"


async def test_an_absent_file_is_said_once_and_never_made(server: Server, tmp_path: Path, said: Said) -> None:
    await server.start(tmp_path / "absent")
    for name in ("ann", "bob"):
        session, _ = await server.join(name)
        server.sessions.delete(session.id)
    await server.plugin.shutdown()
    assert not (tmp_path / "absent").exists()
    assert [line for line in said.lines() if "no control file" in line] == [
        "there is no control file: nothing is written, nothing is held awake"
    ]
    assert "connection started, disabling scale-to-zero (pending: 1) gate=released" in said.lines()


async def test_a_file_that_fails_refuses_nobody_and_is_told_with_path_and_errno(
    server: Server, said: Said
) -> None:
    await server.start(Path("/dev/full"))
    ann, socket = await server.join("ann")
    assert ann.is_connected
    assert socket.closed is None
    assert "connection started, disabling scale-to-zero (pending: 1) gate=failing" in said.lines()
    await until(lambda: said.of("cannot write"), within=WRITTEN, what="it is said")
    failure = said.of("cannot write the control file")[0]
    assert failure["path"] == "/dev/full"
    assert "errno 28 ENOSPC" in failure["error"]
    assert failure["level"] == "warning"
    report = server.health.check()["scaletozero"]
    assert report.status is HealthStatus.DEGRADED
    assert "may sleep under its users" in report.summary
    assert "ENOSPC" in report.summary
    failed = server.metric("scaletozero_writes_total", command="+", result="failed")
    assert failed is not None
    assert failed >= 1
    assert server.metric("scaletozero_disabled") == 0


async def test_a_file_that_works_again_is_used_at_once_and_said(
    server: Server, tmp_path: Path, said: Said
) -> None:
    control = tmp_path / "control"
    control.mkdir()
    await server.start(control)
    await server.join("ann")
    control.rmdir()
    control.touch()
    await until(lambda: control.read_text() == "+", within=WRITTEN, what="'+' is written")
    await until(
        lambda: "control file can be written again" in said.lines(), within=WRITTEN, what="it is said"
    )
    assert server.health.check()["scaletozero"].status is HealthStatus.OK


async def test_a_file_that_never_answers_delays_a_visitor_by_the_write_timeout_only(
    server: Server, tmp_path: Path, said: Said
) -> None:
    """A named pipe that nobody reads blocks in open()."""
    os.mkfifo(tmp_path / "stuck")
    await server.start(tmp_path / "stuck", write_timeout=0.6, drain_timeout=0.2)
    began = time.monotonic()
    joining = asyncio.create_task(server.join("ann"))
    assert await loop_is_quick(0.5) < 0.4
    await joining
    assert 0.59 <= time.monotonic() - began < 3
    assert said.lines()[-1].endswith("(pending: 1) gate=failing")
    assert "has been under way" in server.health.check()["scaletozero"].summary
    began = time.monotonic()
    await server.plugin.shutdown()
    assert time.monotonic() - began < 2
    assert said.lines()[-1].endswith("(pending: 1) gate=failing")
    os.close(os.open(tmp_path / "stuck", os.O_RDONLY | os.O_NONBLOCK))  # lets the writer go


async def test_a_visitor_who_is_gone_before_the_plus_is_written_holds_nothing(
    server: Server, tmp_path: Path, said: Said
) -> None:
    os.mkfifo(tmp_path / "stuck")
    await server.start(tmp_path / "stuck", write_timeout=5, drain_timeout=0.2)
    session, _ = server.sessions.create("ann", PROFILE)
    joining = asyncio.create_task(server.connect(session))
    await until(lambda: server.metric("scaletozero_holds", kind="session") == 1, within=5, what="ann holds")
    server.sessions.delete(session.id)
    await asyncio.wait([joining], timeout=5)
    assert joining.exception() is not None
    assert server.metric("scaletozero_holds", kind="session") == 0
    assert [line.split(",")[0] for line in said.lines()[1:]] == ["connection started", "connection ended"]
    os.close(os.open(tmp_path / "stuck", os.O_RDONLY | os.O_NONBLOCK))


async def test_a_counter_that_was_0_already_is_believed(
    server: Server, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = tmp_path / "control"
    control.touch()
    await server.start(control)
    ann, socket = await server.join("ann")
    real = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if data == b"-":
            raise OSError(34, "Numerical result out of range")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    server.sessions.socket_closed(ann, socket, 1001)
    await until(
        lambda: server.metric("scaletozero_writes_total", command="-", result="refused") == 1,
        within=WRITTEN,
        what="'-' is refused",
    )
    await server.plugin.shutdown()
    assert [line["level"] for line in said.of("counter was 0 already")] == ["warning"]
    assert said.lines()[-1].endswith("gate=released")


async def test_metrics_tell_what_holds_and_for_how_long(server: Server, pipe: CommandPipe) -> None:
    await server.start(pipe.path)
    assert server.metric("scaletozero_disabled") == 0
    await server.join("ann")
    await asyncio.sleep(0.05)
    assert server.metric("scaletozero_disabled") == 1
    assert server.metric("scaletozero_holds", kind="session") == 1
    assert server.metric("scaletozero_holds", kind="pin") == 0
    assert server.metric("scaletozero_writes_total", command="+", result="written") == 1
    assert server.metric("scaletozero_write_seconds_count") == 1
    awake = server.metric("scaletozero_awake_seconds_total", kind="session")
    assert awake is not None
    assert 0.05 <= awake < 5


async def test_a_plugin_that_stopped_can_start_again_in_the_same_process(
    server: Server, pipe: CommandPipe
) -> None:
    for _ in range(2):
        await server.start(pipe.path)
        await server.plugin.shutdown()
    assert "scaletozero" not in server.health.check()


async def test_disabled_it_does_nothing_and_says_so(server: Server, pipe: CommandPipe, said: Said) -> None:
    await server.start(pipe.path, enabled=False)
    await server.join("ann")
    await server.plugin.shutdown()
    assert said.lines() == ["scale-to-zero plugin disabled"]
    assert pipe.commands == ""
    assert server.health.check() == {}


async def test_a_second_server_in_the_same_run_dir_works_without_a_marker(
    server: Server, pipe: CommandPipe, tmp_path: Path, said: Said
) -> None:
    await server.start(pipe.path)
    await server.join("ann")
    other = Server(tmp_path / "run")
    await other.start(pipe.path)
    assert "run_dir" in said.of("no crash marker")[0]["reason"]
    await other.plugin.shutdown()
    assert pipe.commands == "+"


def test_a_write_that_never_returns_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stuck")
    program = f"""
import asyncio
from pathlib import Path
from tests.scaletozero.conftest import Said
from tests.scaletozero.server_parts import Server

async def main():
    server = Server(Path({str(tmp_path / "run")!r}))
    await server.start(Path({str(tmp_path / "stuck")!r}), write_timeout=0.1, drain_timeout=0.1)
    await server.join("ann")
    await server.plugin.shutdown()

asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        assert process.wait(timeout=20) == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cooldown", "-1s"),
        ("write_timeout", "0s"),
        ("drain_timeout", "1h"),
        ("cooldown", "soon"),
        ("response_drain", "0s"),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=key):
        ScaleToZeroSettings.model_validate({key: value})


def test_durations_are_written_as_neko_writes_them() -> None:
    settings = ScaleToZeroSettings.model_validate({"cooldown": "250ms", "enabled": "true"})
    assert (settings.cooldown, settings.enabled) == (0.25, True)
    assert ScaleToZeroSettings().enabled is False
