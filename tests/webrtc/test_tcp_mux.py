"""The TCP port with real connections: clients are plain sockets that speak STUN by aioice's code."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import aioice.stun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc import tcp_mux
from streamserver.webrtc.errors import PortError
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.paths import MAX_PATHS
from streamserver.webrtc.ports import Ports
from tests.waiting import until


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    opened = Ports.bind(0, None)
    await opened.start()
    yield opened
    opened.close()


class TcpClient:
    """A connection that sends frames (RFC 4571), as a browser's ICE does."""

    def __init__(self, ports: Ports, server: str = "127.0.0.1") -> None:
        assert ports.tcp is not None
        self.socket = socket.create_connection((server, ports.tcp.port))
        self.socket.setblocking(False)
        self._received = b""
        self.closed = False

    def frame(self, data: bytes) -> None:
        self.socket.sendall(len(data).to_bytes(2, "big") + data)

    def check(self, connection: LiteConnection, *, password: str | None = None) -> None:
        self.frame(check_of(connection, password=password))

    def read(self) -> bytes | None:
        """Return the next frame if it is whole."""
        try:
            data = self.socket.recv(65536)
            self.closed = not data
            self._received += data
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.closed = True
        size = int.from_bytes(self._received[:2], "big")
        if len(self._received) < 2 + size or not self._received:
            return None
        frame, self._received = self._received[2 : 2 + size], self._received[2 + size :]
        return frame

    def ended(self) -> bool:
        self.read()
        return self.closed

    async def answer(self) -> aioice.stun.Message:
        data = await until(self.read, within=2, what="the server answers")
        assert data is not None
        return aioice.stun.parse_message(data)


def check_of(connection: LiteConnection, *, password: str | None = None, nominate: bool = False) -> bytes:
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{connection.local_username}:them"
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity((password or connection.local_password).encode())
    return bytes(message)


@pytest.fixture
def client(ports: Ports) -> Iterator[Callable[..., TcpClient]]:
    made: list[TcpClient] = []

    def make(server: str = "127.0.0.1") -> TcpClient:
        made.append(TcpClient(ports, server))
        return made[-1]

    yield make
    for each in made:
        each.socket.close()


async def connected(ports: Ports, viewer: TcpClient) -> LiteConnection:
    connection = LiteConnection(ports.agents, [])
    viewer.check(connection)
    await viewer.answer()
    return connection


@pytest.mark.parametrize("server", ["127.0.0.1", "::1"])
async def test_a_check_is_answered_and_media_goes_both_ways(
    ports: Ports, client: Callable[..., TcpClient], server: str
) -> None:
    viewer = client(server)
    connection = LiteConnection(ports.agents, [])
    viewer.check(connection)
    answer = await viewer.answer()
    assert answer.check_message_integrity(connection.local_password.encode())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == viewer.socket.getsockname()[:2]
    await connection.connect()
    viewer.frame(b"\x17 hello")
    assert await asyncio.wait_for(connection.recv(), 2) == b"\x17 hello"
    await connection.send(b"\x17 welcome")
    assert connection.send_segments(memoryview(b"\x80aaa\x80bbb\x80c"), 4)
    frames = [await until(viewer.read, within=2, what="a frame") for _ in range(4)]
    assert frames == [b"\x17 welcome", b"\x80aaa", b"\x80bbb", b"\x80c"]
    viewer.socket.close()
    await until(lambda: not connection.paths, within=2, what="the end of the connection is noticed")
    assert connection.send_segments(memoryview(b"\x80aaa"), 4), "nobody is there: it is lost"


def test_the_number_is_that_of_the_udp_port_unless_it_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    ports = Ports.bind(0, None)
    assert ports.tcp is not None
    assert ports.tcp.port == ports.udp.port
    ports.close()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        without = Ports.bind(taken, None)
        assert without.tcp is None
        assert f"TCP port {taken} is in use by another program" in capsys.readouterr().out
        without.close()
        with pytest.raises(PortError, match=rf"webrtc.tcpmux: TCP port {taken} is in use"):
            Ports.bind(0, taken)
    off = Ports.bind(0, 0)
    assert off.tcp is None
    off.close()


async def test_junk_and_strangers_are_dropped_and_cost_no_answer(
    ports: Ports, client: Callable[..., TcpClient]
) -> None:
    connection = LiteConnection(ports.agents, [])
    stranger = client()
    for junk in (b"", b"\x80 media", b"\x00\x01junk", b"\x17\xfe\xfd"):
        stranger.frame(junk)
    stranger.check(connection, password="wrong")
    expected = {"unknown_address": 2, "bad_stun": 1, "bad_integrity": 1}
    await until(lambda: dict(ports.agents.dropped) == expected, within=2, what=f"all is dropped: {expected}")
    assert stranger.read() is None
    assert not connection.paths
    stranger.socket.sendall((601).to_bytes(2, "big"))  # longer than any check: no viewer's first word
    await until(stranger.ended, within=2, what="the connection is closed")


async def test_a_viewer_s_frame_longer_than_a_datagram_ends_the_connection(
    ports: Ports, client: Callable[..., TcpClient]
) -> None:
    viewer = client()
    connection = await connected(ports, viewer)
    viewer.socket.sendall((2049).to_bytes(2, "big"))
    await until(viewer.ended, within=2, what="the connection is closed")
    assert not connection.paths


async def test_who_shows_nothing_is_closed(
    ports: Ports, client: Callable[..., TcpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_mux, "PATIENCE", 0.2)
    silent, viewer = client(), client()
    connection = await connected(ports, viewer)
    await until(silent.ended, within=2, what="the silent one is closed")
    assert ports.agents.dropped["tcp_idle"] == 1
    assert connection.paths, "the viewer stays"


async def test_strangers_are_bounded_and_viewers_are_not_counted(
    ports: Ports, client: Callable[..., TcpClient]
) -> None:
    for _ in range(3):
        await connected(ports, client())
    strangers = [client() for _ in range(tcp_mux.MAX_STRANGERS_PER_ADDRESS + 3)]
    await until(lambda: ports.agents.dropped["tcp_too_many"] == 3, within=2, what="the surplus is closed")
    await until(lambda: sum(each.ended() for each in strangers) == 3, within=2, what="they hear of it")
    strangers[0].socket.close()
    mux = ports.tcp
    assert mux is not None
    await until(lambda: mux._strangers.total() < 16, within=2, what="one has left")
    await connected(ports, client())


async def test_a_viewer_has_a_bounded_number_of_connections(
    ports: Ports, client: Callable[..., TcpClient]
) -> None:
    connection = LiteConnection(ports.agents, [])
    first = client()
    first.check(connection)
    await first.answer()
    selected = connection.selected
    others = [client() for _ in range(MAX_PATHS)]
    for other in others:
        other.check(connection)
        await other.answer()
    assert len(connection.paths) == MAX_PATHS
    assert connection.selected is selected
    await until(others[0].ended, within=2, what="the one that was silent longest is closed")


async def test_a_slow_reader_fills_a_bounded_buffer_and_delays_nobody(
    ports: Ports, client: Callable[..., TcpClient]
) -> None:
    slow, quick = client(), client()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck, flowing = await connected(ports, slow), await connected(ports, quick)
    media = memoryview(b"\x80" * 1200 * 16)
    received = 0
    taken = refused = 0
    longest = 0.0
    for number in range(80):  # 1.5 MB for each
        began = time.monotonic()
        if stuck.send_segments(media, 1200):
            taken += 1
        else:
            refused += 1
        longest = max(longest, time.monotonic() - began)
        assert flowing.send_segments(media, 1200), f"the quick one waits at {number}"

        def drained() -> bool:
            nonlocal received
            while (frame := quick.read()) is not None:
                received += len(frame)
            return received >= (number + 1) * len(media)  # noqa: B023 called in this round

        await until(drained, within=5, what="the quick one has it all")
    assert not stuck.writable
    assert flowing.writable
    assert refused > 20
    path = stuck.selected
    assert isinstance(path, tcp_mux.TcpPath)
    transport = path._connection._transport
    assert transport is not None
    assert transport.get_write_buffer_size() <= tcp_mux.BUFFER_LIMIT + 16 * 1202
    assert longest < 0.1, "no call waits for a slow reader"
    # it reads again, and gets what was taken, whole
    got = 0

    def all_read() -> bool:
        nonlocal got
        while (frame := slow.read()) is not None:
            assert frame == b"\x80" * 1200
            got += len(frame)
        return got == taken * len(media)

    await until(all_read, within=10, what="what was taken arrives")
    assert stuck.writable


async def test_udp_and_tcp_paths_are_one_viewer_s(ports: Ports, client: Callable[..., TcpClient]) -> None:
    connection = LiteConnection(ports.agents, [])
    viewer = client()
    viewer.check(connection)
    await viewer.answer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.setblocking(False)
        datagrams.sendto(check_of(connection, nominate=True), ("127.0.0.1", ports.udp.port))
        await until(lambda: len(connection.paths) == 2, within=2, what="the second path")
    assert connection.selected is not None
    assert connection.selected.protocol == "udp", "the nomination came by UDP"
    connection.shut()
    await until(viewer.ended, within=2, what="the connection is closed with its viewer")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
async def test_frames_are_the_same_however_the_network_cuts_them(cuts: list[int]) -> None:
    ports = Ports.bind(0, None)
    assert ports.tcp is not None
    connection = LiteConnection(ports.agents, [])
    protocol = tcp_mux._Connection(ports.tcp, ports.agents)
    transport = Sink()
    protocol.connection_made(transport)
    check = check_of(connection)
    frames = [check, b"\x17 one", b"\x80\xc8 two", b"\x17" + bytes(1400), b"\x17 three"]
    stream = b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)
    position = 0
    while position < len(stream):
        for cut in (*cuts, 700):
            piece = stream[position : position + cut]
            buffer = protocol.get_buffer(-1)
            buffer[: len(piece)] = piece
            protocol.buffer_updated(len(piece))
            position += len(piece)
    assert list(connection._inbox) == frames[1:]
    protocol.connection_lost(None)
    assert not connection.paths
    ports.close()


class Sink(asyncio.Transport):
    """A transport that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = socket.socket()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": ("192.0.2.1", 5), "socket": self._socket}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        self._socket.close()
