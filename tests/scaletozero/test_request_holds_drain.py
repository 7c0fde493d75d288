"""Until when an answer holds. Real sockets; slow, vanished and rude peers in another network namespace."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugins.scaletozero import drained
from streamserver.api.connections import BoundedHttp
from streamserver.plugins.client_connection import ClientConnection
from tests.network import Namespace
from tests.scaletozero.conftest import Said
from tests.scaletozero.serving import (
    SMALL_BUFFER,
    UNREAD,
    Caller,
    Serving,
    caller,
    descriptors,
    serving,
)
from tests.waiting import until

SOON = 10.0
"""Seconds within which something that follows at once is expected."""
A_WHILE = 0.5
"""Seconds in which something that must not happen would have happened."""
FIN_WAIT1 = 4
LATE = "answer did not leave in time, connection ended"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


@pytest.fixture
def cable() -> Iterator[Namespace]:
    """A host whose cable may be pulled."""
    with Namespace() as namespace:
        yield namespace


async def ends(gate: Serving, within: float = SOON) -> None:
    await until(lambda: gate.commands == "+-" and not gate.requests, within=within, what="'-' is written")


async def answered(gate: Serving, number: int = 1) -> None:
    """Wait until handlers are done, and a while longer, and check that the machine is held awake still."""
    await until(lambda: gate.handlers.ended == number, within=SOON, what="the handler is done")
    await asyncio.sleep(A_WHILE)
    assert (gate.commands, gate.requests) == ("+", 1)


@asynccontextmanager
async def slow_reader(gate: Serving, namespace: Namespace | None) -> AsyncIterator[Caller]:
    async with caller(namespace, gate.port, buffer=SMALL_BUFFER) as client:
        yield client


@pytest.mark.parametrize("header", [[], ["Connection: close"]], ids=["keep-alive", "close"])
async def test_a_slow_reader_holds_until_it_has_read(
    tmp_path: Path, elsewhere: Namespace, header: list[str]
) -> None:
    async with serving(tmp_path) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}", *header)
        await answered(gate)
        begin = time.monotonic()
        for second in range(1, 4):
            assert len(await client.read(1000)) == 1000
            assert (gate.commands, gate.requests) == ("+", 1)
            await asyncio.sleep(max(0.0, begin + second - time.monotonic()))
        if header:
            await until(lambda: not gate.connections, within=SOON, what="the server has closed its handle")
            assert len(await client.read_to_end()) > UNREAD - 3000
        else:
            await client.read(UNREAD - 3000)
        await ends(gate)


async def test_the_end_of_a_connection_is_sent_while_its_answer_still_leaves(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    """Our second handle on the socket must not delay the FIN."""
    async with serving(tmp_path) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}", "Connection: close")
        port = client.socket.getsockname()[1]
        await until(lambda: tcp_state_of(gate.port, port) == FIN_WAIT1, within=SOON, what="the FIN is queued")
        await answered(gate)
        assert (await client.read_to_end()).endswith(b"\0" * 100)
        await ends(gate)


async def test_a_vanished_peer_holds_until_the_kernel_gives_it_up(
    tmp_path: Path, cable: Namespace, said: Said
) -> None:
    server = {"write_timeout": 3}
    async with serving(tmp_path, server=server) as gate, caller(cable, gate.port) as client:
        await client.get(f"/test/wait?size={UNREAD}")
        await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
        cable.pull_cable()
        gate.handlers.go_on.set()
        await answered(gate)
        await ends(gate, within=20)
        await until(lambda: not gate.connections, within=SOON, what="the connection is gone")
    assert not said.of(LATE)


async def test_the_answer_to_a_failure_has_to_leave_too(tmp_path: Path, cable: Namespace) -> None:
    """It is written outside of the gate's middleware, when that is through."""
    server = {"write_timeout": 3}
    async with serving(tmp_path, server=server) as gate, caller(cable, gate.port) as client:
        await client.get("/test/wait-and-fail")
        await until(lambda: gate.handlers.began, within=SOON, what="the handler runs")
        cable.pull_cable()
        gate.handlers.go_on.set()
        await answered(gate)
        await ends(gate, within=20)


async def test_a_peer_that_resets_lets_go_at_once(tmp_path: Path, elsewhere: Namespace, said: Said) -> None:
    async with serving(tmp_path) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}")
        await answered(gate)
        client.reset()
        await ends(gate)
    assert not said.of(LATE)


async def test_a_peer_that_resets_after_our_end_lets_go_at_once(tmp_path: Path, elsewhere: Namespace) -> None:
    """The server has closed its handle already: only ours sees it."""
    async with serving(tmp_path) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}", "Connection: close")
        await until(lambda: not gate.connections, within=SOON, what="the server has closed its handle")
        await answered(gate)
        client.reset()
        await ends(gate)


async def test_the_next_request_on_the_connection_carries_the_hold_on(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    """Without cooldown: any gap would be written."""
    async with serving(tmp_path, cooldown=0) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}")
        await answered(gate)
        await client.get("/test/wait")
        await until(lambda: gate.handlers.began == 2, within=SOON, what="the next handler runs")
        assert (await client.read_answer())[0] == 200
        await asyncio.sleep(A_WHILE)
        assert (gate.commands, gate.requests) == ("+", 1)
        gate.handlers.go_on.set()
        await ends(gate)


async def test_at_the_limit_the_connection_is_reset_and_the_machine_may_sleep(
    tmp_path: Path, elsewhere: Namespace, said: Said
) -> None:
    async with serving(tmp_path, response_drain=1) as gate, slow_reader(gate, elsewhere) as client:
        await client.get(f"/test/sized?size={UNREAD}")
        await answered(gate)
        await ends(gate)
        with pytest.raises(ConnectionResetError):
            await read_raw(client.socket, UNREAD)
        await until(lambda: not gate.connections, within=SOON, what="the connection is gone")
    assert [line["kernel"] for line in said.of(LATE)] == ["still has it"]


async def test_a_running_handler_has_no_limit(tmp_path: Path, elsewhere: Namespace, said: Said) -> None:
    async with serving(tmp_path, response_drain=0.2) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized")
        await client.read_answer()
        await client.get("/test/wait")
        await until(lambda: gate.handlers.began == 2, within=SOON, what="the handler runs")
        await asyncio.sleep(1)
        assert gate.requests == 1
        gate.handlers.go_on.set()
        assert (await client.read_answer())[0] == 200
        await until(lambda: not gate.requests, within=SOON, what="nothing holds")
    assert not said.of(LATE)


def refuse(*_: object) -> int:
    raise OSError(25, "Inappropriate ioctl for device")


@pytest.mark.parametrize("broken", ["unacknowledged", "tcp_state", "duplicate"])
async def test_what_the_kernel_does_not_tell_holds_to_the_limit(
    tmp_path: Path, elsewhere: Namespace, said: Said, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    async with serving(tmp_path, response_drain=1.5) as gate, caller(elsewhere, gate.port) as client:
        if broken == "duplicate":
            monkeypatch.setattr("streamserver.api.connections.Connection.duplicate", refuse)
        else:
            monkeypatch.setattr(drained, broken, refuse)
        await client.get("/test/sized?size=10")
        assert (await client.read_answer())[0] == 200
        await answered(gate)
        await ends(gate)
        assert await client.receive() == b""
        await until(lambda: not gate.connections, within=SOON, what="the connection is gone")
    assert [line["kernel"] for line in said.of(LATE)] == ["says nothing"]


@pytest.mark.parametrize("forwarded", ["203.0.113.7", "198.51.100.1, 203.0.113.7"])
async def test_behind_a_proxy_the_forwarded_address_counts_and_the_proxys_socket_is_watched(
    tmp_path: Path, elsewhere: Namespace, forwarded: str
) -> None:
    async with (
        serving(tmp_path, server={"proxy": True}) as gate,
        proxy(gate.port, forwarded) as door,
        caller(elsewhere, door.port, buffer=SMALL_BUFFER) as client,
    ):
        await client.get(f"/test/sized?size={UNREAD}")
        await answered(gate)
        door.reads.set()
        assert (await client.read_answer())[0] == 200
        await ends(gate)


async def test_behind_a_proxy_a_caller_of_this_machine_does_not_hold(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, server={"proxy": True}) as gate,
        proxy(gate.port, "203.0.113.7, 127.0.0.1") as door,
        caller(None, door.port) as client,
    ):
        door.reads.set()
        await client.get("/test/sized")
        assert (await client.read_answer())[0] == 200
        assert (gate.handlers.seen, gate.commands) == ([""], "")


async def test_without_server_proxy_nobody_can_claim_to_be_local(
    tmp_path: Path, elsewhere: Namespace
) -> None:
    async with serving(tmp_path) as gate, caller(elsewhere, gate.port) as client:
        await client.get("/test/sized", "X-Forwarded-For: 127.0.0.1")
        await client.read_answer()
        assert gate.handlers.seen == ["+"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*command, "-days", "1", "-keyout", key, "-out", cert, "-subj", "/CN=x"],
        check=True,
        capture_output=True,
    )
    return {"cert": str(cert), "key": str(key)}


@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close"])
@pytest.mark.parametrize("size", [600_000, 8_000_000])
async def test_a_slow_reader_over_tls_holds_until_it_has_read(
    tmp_path: Path, elsewhere: Namespace, certificate: dict[str, object], size: int, header: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with serving(tmp_path, server=certificate) as gate, slow_reader(gate, elsewhere) as client:
        reader = asyncio.StreamReader(limit=SMALL_BUFFER)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader), sock=client.socket, ssl=context, server_hostname="x"
        )
        transport.write(f"GET /test/sized?size={size} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        await answered(gate)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        await reader.readexactly(1000)
        await asyncio.sleep(A_WHILE)
        assert (gate.commands, gate.requests) == ("+", 1)
        await reader.readexactly(size - 1000)
        await ends(gate)
        transport.abort()


async def test_bytes_that_wait_in_the_process_are_counted_over_tls_too(
    tmp_path: Path, elsewhere: Namespace, certificate: dict[str, object]
) -> None:
    """asyncio's TLS transport counts what it has not encrypted; the rest waits in the transport below it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with serving(tmp_path, server=certificate) as gate, slow_reader(gate, elsewhere) as client:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=SMALL_BUFFER)
        transport, _ = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader), sock=client.socket, ssl=context, server_hostname="x"
        )
        transport.write(b"GET /test/sized?size=16000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await answered(gate)
        assert only_connection(gate).unsent > 4_000_000
        transport.abort()
        await ends(gate)


async def test_a_thousand_requests_leave_nothing_behind(tmp_path: Path, elsewhere: Namespace) -> None:
    async with serving(tmp_path, cooldown=60) as gate:
        async with caller(elsewhere, gate.port) as first:
            await first.get("/test/sized")
            await first.read_answer()
        await until(lambda: not gate.connections, within=SOON, what="the connection is gone")
        before, tasks = descriptors(), len(asyncio.all_tasks())
        most_tasks = most_holds = 0

        async def ask(times: int) -> None:
            nonlocal most_tasks, most_holds
            async with caller(elsewhere, gate.port) as client:
                for number in range(times):
                    await client.get("/test/sized?size=100")
                    await client.read_answer()
                    if number % 10 == 5:
                        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
                        most_holds = max(most_holds, gate.requests)

        await asyncio.gather(*(ask(50) for _ in range(20)))
        assert gate.handlers.ended == 1001
        assert most_holds <= 20
        assert most_tasks <= tasks + 2 * 20
        await until(lambda: not gate.requests, within=SOON, what="nothing holds")
        await until(lambda: not gate.connections, within=SOON, what="the connections are gone")
        await until(lambda: descriptors() <= before, within=SOON, what="all sockets are closed")
        assert len(asyncio.all_tasks()) <= tasks
        assert gate.commands == "+"


def tcp_state_of(port: int, peer: int) -> int | None:
    """Return the state of our end of a connection (proc_net_tcp.txt of the kernel)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.split(":")[1], 16) == port and int(remote.split(":")[1], 16) == peer:
            return int(state, 16)
    return None


async def read_raw(connection: socket.socket, size: int) -> None:
    loop = asyncio.get_running_loop()
    while size > 0 and (piece := await loop.sock_recv(connection, size)):
        size -= len(piece)


def only_connection(gate: Serving) -> ClientConnection:
    server = gate.running.http._server
    assert server is not None
    (protocol,) = server.server_state.connections
    assert isinstance(protocol, BoundedHttp)
    return protocol.connection


class Door:
    """A reverse proxy in a few lines: adds the header, and reads answers only when it is told to."""

    def __init__(self, port: int, forwarded: str) -> None:
        self._behind = port
        self._forwarded = forwarded
        self.reads = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        behind = socket.socket()
        try:
            behind.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            behind.setblocking(False)
            await loop.sock_connect(behind, ("127.0.0.1", self._behind))
            head = await reader.readuntil(b"\r\n\r\n")
            await loop.sock_sendall(
                behind, head[:-2] + f"X-Forwarded-For: {self._forwarded}\r\n\r\n".encode()
            )
            await self.reads.wait()
            while piece := await loop.sock_recv(behind, 65536):
                writer.write(piece)
                await writer.drain()
        finally:
            behind.close()
            writer.close()


@asynccontextmanager
async def proxy(port: int, forwarded: str) -> AsyncIterator[Door]:
    door = Door(port, forwarded)
    server = await asyncio.start_server(door.serve, "0.0.0.0", 0)
    door.port = server.sockets[0].getsockname()[1]
    async with server:
        yield door
