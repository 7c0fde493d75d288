"""What uvicorn's WebSocket does with bad clients, measured, and what `connections.py` adds.

These run a small application of their own, so that they see what every application behind the listener sees.
"""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from streamserver.api import connections
from streamserver.api.server import HttpServer
from streamserver.config import ServerSettings, SessionSettings
from tests.api.raw import BINARY, PING, TEXT, connect, frame
from tests.logs.conftest import Logging
from tests.waiting import until


@dataclass
class Recorder:
    """An application that records what comes over its WebSocket, and floods it when asked."""

    flood: bool = False
    sent: int = 0
    messages: list[object] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ended_at: float = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        pump = asyncio.create_task(self._flood(send)) if self.flood else None
        while (event := await receive())["type"] == "websocket.receive":
            self.messages.append(event.get("text") or event.get("bytes"))
        self.codes.append(event["code"])
        self.ended_at = time.monotonic()
        if pump is not None:
            pump.cancel()

    async def _flood(self, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "x" * 65536})
            self.sent += 65536
            await asyncio.sleep(0)


@asynccontextmanager
async def listening(app: Recorder, **settings: object) -> AsyncIterator[HttpServer]:
    server = ServerSettings.model_validate({"bind": "127.0.0.1:0", **settings})
    session = SessionSettings.model_validate({"ping_interval": 0.2, "ping_timeout": 0.4})
    http = HttpServer(app, server, session)
    await http.start()
    try:
        yield http
    finally:
        await http.stop(0.2)


def open_transports(http: HttpServer) -> list[asyncio.Transport]:
    assert http._server is not None
    return [connection.transport for connection in http._server.server_state.connections]


async def test_a_peer_that_answers_no_ping_is_gone_and_the_application_sees_1005() -> None:
    app = Recorder()
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        started = time.monotonic()
        await until(lambda: app.codes, within=3, what="the application sees the end")
        assert app.codes == [1005]
        assert 0.5 < app.ended_at - started < 1.5
        assert (await client.read_to_end()).endswith(b"\x03\xf3keepalive ping timeout")  # close frame, 1011


async def test_a_peer_is_asked_again_when_it_was_us_who_were_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    app, wall = Recorder(), time.time
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        assert (await client.receive())[0] == 0x80 | PING
        # a machine that was paused for a day: its monotonic clock stood still
        monkeypatch.setattr("streamserver.api.connections.time.time", lambda: wall() + 86_400)
        assert (await client.receive())[0] == 0x80 | PING
        assert app.codes == []
        await until(lambda: app.codes, within=3, what="it does not answer that one either")


async def test_a_peer_that_never_reads_is_gone_as_soon_and_costs_little_memory() -> None:
    app = Recorder(flood=True)
    async with listening(app) as http, connect(http.port, receive_buffer=4096) as client:
        await client.upgrade("/")
        started = time.monotonic()
        await until(lambda: app.sent, within=2, what="the flood begins")
        (transport,) = open_transports(http)
        await until(lambda: app.codes or transport.get_write_buffer_size() > 65536, within=2, what="it stops")
        assert transport.get_write_buffer_size() < 4 * 65536
        await until(lambda: app.codes, within=3, what="the application sees the end")
        assert app.ended_at - started < 2
        await until(lambda: not open_transports(http), within=2, what="the connection is closed")


@pytest.mark.alone
@pytest.mark.parametrize("between", [b"", frame(TEXT, b"hello")], ids=["pings", "pings and messages"])
async def test_pings_of_a_peer_that_never_reads_do_not_fill_the_memory(between: bytes) -> None:
    app, most = Recorder(), 0
    async with listening(app) as http, connect(http.port, receive_buffer=4096) as client:
        await client.upgrade("/")
        (transport,) = open_transports(http)
        # the kernel would hide megabytes, which a busy machine does not fill in time
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        flood = asyncio.create_task(_send_for_ever(client.send, frame(PING, b"p" * 125) * 500 + between))
        while not app.codes:
            most = max(most, transport.get_write_buffer_size())
            await asyncio.sleep(0.01)
        flood.cancel()
    # one read of uvicorn's (256 KiB) beyond the 64 KiB at which it stops reading
    assert 0 < most < 512 * 1024


async def _send_for_ever(send: object, data: bytes) -> None:
    assert callable(send)
    try:
        while True:
            await send(data)
    except OSError:
        return


async def test_the_kernel_ends_what_takes_nothing_also_without_pings() -> None:
    app = Recorder(flood=True)
    server = ServerSettings.model_validate({"bind": "127.0.0.1:0", "write_timeout": 1})
    session = SessionSettings.model_validate({"ping_interval": 60, "ping_timeout": 60})
    http = HttpServer(app, server, session)
    await http.start()
    async with connect(http.port, receive_buffer=4096) as client:
        await client.upgrade("/")
        await until(lambda: app.codes, within=8, what="the kernel gives the connection up")
    await http.stop(0.2)


async def test_a_message_in_too_many_pieces_is_refused() -> None:
    app = Recorder()
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        await client.send(frame(TEXT, b"", final=False))
        await client.send(frame(0, b"", final=False) * connections.MAX_FRAGMENTS)
        await until(lambda: app.codes, within=3, what="the application sees the end")
    assert app.codes == [connections.CLOSE_TOO_BIG]


async def test_pieces_make_a_message() -> None:
    app = Recorder()
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        await client.send(frame(TEXT, b"\xe2\x82", final=False) + frame(0, b"\xac") + frame(BINARY, b"\xff"))
        await until(lambda: len(app.messages) == 2, within=3, what="both messages come")
    assert app.messages == ["€", b"\xff"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, b"x" * 5000), 1009),
        (frame(TEXT, b"x" * 3000, final=False) + frame(0, b"x" * 3000), 1009),
        (b"\x81\x05hello", 1002),
        (frame(15, b""), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, b"\x03\xe8bye"), 1000),
        (frame(8, b""), 1005),
    ],
)
async def test_the_application_sees_with_which_code_it_ended(
    sent: bytes, code: int, log_output: io.StringIO
) -> None:
    app = Recorder()
    async with listening(app, max_message_size=4096) as http, connect(http.port) as client:
        await client.upgrade("/")
        await client.send(sent)
        await until(lambda: app.codes, within=3, what="the application sees the end")
    assert app.codes == [code]
    lines = [line for line in log_output.getvalue().splitlines() if "module=http" in line]
    assert len(lines) <= 2  # "http listening", and one about the client
    assert "Traceback" not in log_output.getvalue()


async def test_a_connection_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.2)
    async with listening(Recorder(), idle_timeout=5) as http:
        for said in (b"", b"GET / HT"):
            async with connect(http.port) as client, asyncio.timeout(3):
                await client.send(said)
                assert await client.read_to_end() == b""
        async with connect(http.port) as client, asyncio.timeout(3):
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.receive()).startswith(b"HTTP/1.1 200")
            await client.send(b"GET / HT")
            assert await client.read_to_end() == b""


async def test_an_idle_connection_is_ended() -> None:
    async with (
        listening(Recorder(), idle_timeout=0.2) as http,
        connect(http.port) as client,
        asyncio.timeout(3),
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 200")


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with listening(Recorder(), max_header_size=4096) as http, connect(http.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10_000)
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"])
async def test_what_is_no_http_is_refused(junk: bytes) -> None:
    async with listening(Recorder()) as http, connect(http.port) as client, asyncio.timeout(3):
        await client.send(junk + b"\r\n\r\n")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 400")


async def test_the_handshake_of_a_websocket_is_not_logged_by_libraries(logging_to: Logging) -> None:
    output = logging_to(level="debug", levels={"uvicorn": "debug", "uvicorn.error": "debug"})
    app = Recorder()
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/?token=hunter2")
    await until(lambda: app.codes, within=3, what="the application sees the end")
    assert "token" not in output.getvalue()


async def test_too_many_connections_are_told_so() -> None:
    async with listening(Recorder(), max_connections=8) as http:
        held = [connect(http.port) for _ in range(8)]
        for one in held:
            await (await one.__aenter__()).send(b"GET")
        await until(lambda: len(open_transports(http)) == 8, within=3, what="all are taken")
        async with connect(http.port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await client.read_to_end()).startswith(b"HTTP/1.1 503")
        for one in held:
            await one.__aexit__(None, None, None)


async def test_what_is_sent_to_a_peer_that_is_gone_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    gone = asyncio.Event()
    failed: list[BaseException] = []

    class Talker(Recorder):
        async def _flood(self, send: Send) -> None:
            await gone.wait()
            try:
                for _ in range(10):  # at once, before the loop learns that the peer is gone
                    await send({"type": "websocket.send", "text": "x"})
            except OSError as error:
                failed.append(error)

    app = Talker(flood=True)
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        gone.set()
        await until(lambda: failed, within=5, what="the application is told")
    assert "socket.send() raised" not in caplog.text


async def test_little_of_a_websocket_is_parsed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    receive = connections.BoundedWebSocket.data_received

    def measured(self: connections.BoundedWebSocket, data: bytes) -> None:
        pieces.append(len(data))
        receive(self, data)

    monkeypatch.setattr(connections.BoundedWebSocket, "data_received", measured)
    app = Recorder()
    async with listening(app) as http, connect(http.port) as client:
        await client.upgrade("/")
        await client.send(frame(TEXT, b"") * 5_000)
        await until(lambda: len(app.messages) == 5_000, within=20, what="all of it is there")
    assert max(pieces) <= connections.READ_SIZE
