"""Which requests hold, and since when. Real sockets; the caller is in another network namespace."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.control_file import ControlFile
from plugins.scaletozero.loopback import is_loopback
from plugins.scaletozero.request_holds import label_of
from tests.api.raw import CLOSE, frame
from tests.network import Namespace
from tests.scaletozero.conftest import Said
from tests.scaletozero.serving import SMALL_BUFFER, UNREAD, Serving, caller, serving
from tests.waiting import until

SOON = 10.0
"""Seconds within which something that follows at once is expected."""
A_WHILE = 0.5
"""Seconds in which something that must not happen would have happened."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


async def ends(gate: Serving, commands: str = "+-") -> None:
    """Wait until the machine may sleep again, and check what was written by then."""
    await until(lambda: gate.commands.endswith("-") and not gate.requests, within=SOON, what="'-' is written")
    assert gate.commands == commands


async def test_the_handler_runs_with_the_machine_held_awake(tmp_path: Path, elsewhere: Namespace) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized?size=3")
        assert await client.read_answer() == (200, b"\0\0\0")
        assert gate.handlers.seen == ["+"]
        await ends(gate)


async def test_the_handler_waits_for_a_slow_write(
    tmp_path: Path, elsewhere: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_writes(monkeypatch, 0.3)
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized")
        await client.read_answer()
        assert gate.handlers.seen == ["+"]


async def test_the_plus_is_in_the_file_before_a_websocket_is_accepted(
    tmp_path: Path, elsewhere: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_writes(monkeypatch, 0.3)
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        _, token = gate.running.log_in("ann")
        head = await client.upgrade(f"/api/ws?token={token}")
        assert (head.split()[1], gate.commands) == (b"101", "+")


async def test_a_websocket_holds_for_its_life_besides_its_session(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        _, token = gate.running.log_in("ann")
        await client.upgrade(f"/api/ws?token={token}")
        await until(lambda: len(gate.labels) == 2, within=SOON, what="both hold")
        assert sorted(gate.labels) == ["WebSocket /api/ws", "ann"]
        await asyncio.sleep(A_WHILE)
        assert (gate.requests, gate.commands) == (1, "+")
        await client.send(frame(CLOSE, b"\x03\xe9"))
        await ends(gate)


@pytest.mark.parametrize("path", ["/test/sized", "/api/sessions", "/nothing/here"])
async def test_loopback_does_not_hold(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as gate, caller(None, gate.port) as client:
        await client.get(path)
        await client.read_answer()
        assert (gate.commands, gate.requests) == ("", 0)


async def test_loopback_does_not_hold_on_a_socket_for_both_families(tmp_path: Path) -> None:
    """There the kernel gives an IPv4 client's address as ::ffff:127.0.0.1."""
    async with serving(tmp_path, server={"bind": ":0"}) as gate, caller(None, gate.port) as client:
        await client.get("/test/sized")
        await client.read_answer()
        assert (gate.commands, gate.requests) == ("", 0)


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/metrics",
        "/scaletozero",
        "/scaletozero/leases/x",
        "/api/scaletozero",
        "/api/scaletozero/disable",
    ],
)
async def test_probes_and_the_routes_of_the_gate_do_not_hold(
    tmp_path: Path, elsewhere: Namespace, path: str
) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get(path)
        await client.read_answer()
        await client.get("/health?probe=/test")
        await client.read_answer()
        assert gate.commands == ""


@pytest.mark.parametrize("path", ["/healthy", "/metrics/", "/scaletozeros", "/health/x"])
async def test_other_paths_that_begin_so_hold(tmp_path: Path, elsewhere: Namespace, path: str) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get(path)
        await client.read_answer()
        await ends(gate)


async def test_ignored_paths_can_be_chosen_and_requests_left_out(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    for folder, settings in (("a", {"ignore_paths": ["/test/sized"]}), ("b", {"requests": False})):
        (tmp_path / folder).mkdir()
        async with serving(tmp_path / folder, **settings) as gate, caller(elsewhere, gate.port) as client:
            await client.get("/test/sized")
            await client.read_answer()
            assert (gate.handlers.seen, gate.commands) == ([""], "")


async def test_paths_are_those_below_the_prefix(tmp_path: Path, elsewhere: Namespace) -> None:
    server = {"path_prefix": "/room"}
    async with serving(tmp_path, server=server) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/room/health")
        assert (await client.read_answer())[0] == 200
        assert gate.commands == ""
        await client.get("/room/test/sized")
        await client.read_answer()
        assert gate.handlers.seen == ["+"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_refusals_release_at_once(tmp_path: Path, elsewhere: Namespace, status: int) -> None:
    async with (
        serving(tmp_path) as gate,
        caller(elsewhere, gate.port, buffer=SMALL_BUFFER) as client,
    ):
        await client.get(f"/test/sized?size={UNREAD}&status={status}")
        await ends(gate)
        assert gate.handlers.seen == ["+"]
        assert (await client.read_answer())[0] == status


async def test_a_refusal_on_a_connection_does_not_end_what_came_before(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    async with (
        serving(tmp_path) as gate,
        caller(elsewhere, gate.port, buffer=SMALL_BUFFER) as client,
    ):
        await client.get(f"/test/sized?size={UNREAD}")
        await client.get("/test/sized?status=404")
        await until(lambda: gate.handlers.ended == 2, within=SOON, what="both are answered")
        await asyncio.sleep(A_WHILE)
        assert (gate.commands, gate.requests) == ("+", 1)
        assert (await client.read_answer())[0] == 200
        assert (await client.read_answer())[0] == 404
        await ends(gate)


async def test_a_request_without_credentials_releases_at_once(tmp_path: Path, elsewhere: Namespace) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/api/sessions")
        assert (await client.read_answer())[0] == 401
        await ends(gate)


async def test_a_handler_that_fails_lets_go(tmp_path: Path, elsewhere: Namespace) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/fail")
        assert (await client.read_answer())[0] == 500
        assert gate.handlers.seen == ["+"]
        await ends(gate)


async def test_a_client_that_leaves_holds_until_its_handler_is_done(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/wait")
        await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
        client.reset()
        await until(lambda: not gate.connections, within=SOON, what="the server sees it")
        await asyncio.sleep(A_WHILE)
        assert (gate.commands, gate.requests) == ("+", 1)
        gate.handlers.go_on.set()
        await ends(gate)


@pytest.mark.parametrize("cooldown", [0, 0.05])
async def test_many_requests_of_many_clients_are_one_plus_and_one_minus(
    tmp_path: Path, elsewhere: Namespace, cooldown: float
) -> None:
    async with serving(tmp_path, cooldown=cooldown) as gate:
        async with caller(elsewhere, gate.port) as first, caller(elsewhere, gate.port) as second:
            await first.get("/test/wait")
            await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
            for _ in range(50):
                await second.get("/test/sized")
                await second.read_answer()
            assert gate.commands == "+"
            gate.handlers.go_on.set()
            await first.read_answer()
        await ends(gate)


FAILED = {"code": 500, "message": "failed to disable scale-to-zero"}


async def test_without_the_plus_the_handler_does_not_run(tmp_path: Path, elsewhere: Namespace) -> None:
    """A directory cannot be written. The original answered in plain text."""
    control = tmp_path / "control"
    control.mkdir()
    async with serving(tmp_path, control_file=control) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized")
        status, body = await client.read_answer()
        assert (status, json.loads(body)) == (500, FAILED)
        assert (gate.handlers.began, gate.requests) == (0, 0)

        await client.get("/health")
        assert (await client.read_answer())[0] == 200
        async with caller(None, gate.port) as local:
            await local.get("/test/sized")
            assert (await local.read_answer())[0] == 200

        control.rmdir()
        control.touch()
        await client.get("/test/sized")
        assert (await client.read_answer())[0] == 200
        assert control.read_text() == "+"


async def test_a_write_that_takes_too_long_is_a_failure(
    tmp_path: Path, elsewhere: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_writes(monkeypatch, 1.0)
    async with serving(tmp_path, write_timeout=0.1) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized")
        status, body = await client.read_answer()
        assert (status, json.loads(body)) == (500, FAILED)
        assert gate.handlers.began == 0
        await ends(gate)


async def test_without_the_plus_a_websocket_is_refused(tmp_path: Path, elsewhere: Namespace) -> None:
    control = tmp_path / "control"
    control.mkdir()
    async with serving(tmp_path, control_file=control) as gate, caller(elsewhere, gate.port) as client:
        session, token = gate.running.log_in("ann")
        head = await client.upgrade(f"/api/ws?token={token}")
        assert head.split()[1] == b"500"
        assert json.loads(await client.read_to_end()) == FAILED
        assert not session.is_connected
        assert gate.labels == []


async def test_a_held_gate_is_passed_without_waiting_for_the_writer(
    tmp_path: Path, elsewhere: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as gate:
        async with caller(elsewhere, gate.port) as first, caller(elsewhere, gate.port) as second:
            await first.get("/test/wait")
            await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
            monkeypatch.setattr(ControlFile, "write", never)
            for _ in range(20):
                await second.get("/test/sized")
                assert (await second.read_answer())[0] == 200
            assert gate.handlers.began == 21
            monkeypatch.undo()
            gate.handlers.go_on.set()
        await ends(gate)


async def test_without_a_control_file_everything_is_answered(tmp_path: Path, elsewhere: Namespace) -> None:
    nothing = tmp_path / "nothing"
    async with serving(tmp_path, control_file=nothing) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized")
        assert (await client.read_answer())[0] == 200
        assert not nothing.exists()


async def test_after_the_shutdown_of_the_gate_requests_are_answered_and_hold_nothing(
    tmp_path: Path, elsewhere: Namespace, said: Said
) -> None:
    async with serving(tmp_path, cooldown=60) as gate:
        async with caller(elsewhere, gate.port) as waiting, caller(elsewhere, gate.port) as client:
            await waiting.get("/test/wait")
            await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
            await gate.plugin.shutdown()
            assert gate.commands == "+-"
            await client.get("/test/sized")
            assert (await client.read_answer())[0] == 200
            gate.handlers.go_on.set()
            assert (await waiting.read_answer())[0] == 200
        await asyncio.sleep(A_WHILE)
        assert gate.commands == "+-"
    assert said.lines()[-1] == "shutdown started, re-enabling scale-to-zero (pending: 0) gate=released"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:80", True),
        ("127.8.9.1", True),
        ("[::1]:8080", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("[::ffff:127.0.0.1]:80", True),
        ("203.0.113.50:80", False),
        ("203.0.113.50", False),
        ("2001:db8::1", False),
        ("::ffff:203.0.113.50", False),
        ("not-an-ip:80", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_what_is_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/", "GET /"),
        ("/api/whoami", "GET /api/whoami"),
        ("/api/sessions/ann-1234/", "GET /api/sessions/…"),
        ("/api/0123456789abcdef0123456789abcdef", "GET /api/…"),
        ("/a b/ü/c", "GET /…/…/…"),
        ("/" + "x" * 10_000, "GET /…"),
        ("/x" * 10_000, "GET /x/x/…"),
    ],
)
def test_labels_are_short_and_tell_no_secret(path: str, label: str) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"token=secret"}
    assert label_of(scope) == label
    assert label_of({**scope, "method": "BREW"}) == label.replace("GET", "other")
    assert label_of({**scope, "type": "websocket"}) == label.replace("GET", "WebSocket")


def slow_writes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each write to the control file take that long."""
    write = ControlFile.write

    def slowly(file: ControlFile, command: Command) -> WriteResult:
        time.sleep(seconds)
        return write(file, command)

    monkeypatch.setattr(ControlFile, "write", slowly)


def never(file: ControlFile, command: Command) -> WriteResult:
    raise AssertionError(f"{command} is written")
