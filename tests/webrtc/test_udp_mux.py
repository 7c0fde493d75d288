"""The socket with real datagrams: clients are plain sockets that speak STUN by aioice's code."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import aioice.stun
import pytest

from streamserver.webrtc import ice_lite, udp_mux
from streamserver.webrtc.agents import Agents
from streamserver.webrtc.errors import PortError
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.paths import MAX_PATHS
from streamserver.webrtc.udp_mux import UdpMux, UdpPath
from tests.waiting import until


@pytest.fixture
async def mux() -> AsyncIterator[UdpMux]:
    opened = UdpMux.bind(0, Agents())
    opened.start()
    yield opened
    opened.close()


class StunClient:
    """A socket that sends connectivity checks to one address of the mux."""

    def __init__(self, mux: UdpMux, server: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        # connected: an answer that comes from another address of the server would not arrive
        self.socket.connect((server, mux.port))

    def check(
        self,
        connection: LiteConnection,
        *,
        use_candidate: bool = False,
        password: str | None = None,
        transaction_id: bytes | None = None,
    ) -> bytes:
        message = aioice.stun.Message(
            aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, transaction_id=transaction_id
        )
        message.attributes["USERNAME"] = f"{connection.local_username}:them"
        if use_candidate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity((password or connection.local_password).encode())
        data = bytes(message)
        self.socket.send(data)
        return data

    def respond(self, password: bytes, transaction_id: bytes) -> None:
        """Answer a check of the server's."""
        response = aioice.stun.Message(
            aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, transaction_id=transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()[:2]
        response.add_message_integrity(password)
        self.socket.send(bytes(response))

    def read(self) -> bytes | None:
        try:
            return self.socket.recv(2048)
        except BlockingIOError:
            return None

    async def answer(self) -> aioice.stun.Message:
        data = await until(self.read, within=2, what="the server answers")
        assert data is not None
        return aioice.stun.parse_message(data)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def client(mux: UdpMux) -> Iterator[Callable[..., StunClient]]:
    made: list[StunClient] = []

    def make(server: str = "127.0.0.1") -> StunClient:
        made.append(StunClient(mux, server))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.2", "::1"])
async def test_a_check_is_answered_from_the_address_it_came_to(
    mux: UdpMux, client: Callable[..., StunClient], server: str
) -> None:
    connection = LiteConnection(mux.agents, [])
    viewer = client(server)
    viewer.check(connection)
    answer = await viewer.answer()
    assert answer.message_class == aioice.stun.Class.RESPONSE
    assert answer.check_message_integrity(connection.local_password.encode())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == viewer.socket.getsockname()[:2]
    await connection.connect()
    await connection.send(b"\x80 media")
    assert await until(viewer.read, within=2, what="media arrives") == b"\x80 media"


async def test_junk_gets_no_answer_and_leaves_no_trace(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    stranger = client()
    junk = {
        "unknown_address": [b"\x80" + os.urandom(100), b"\x16\xfe\xff" + os.urandom(60), b"\xff" * 1200],
        "bad_stun": [b"\x00\x01" + os.urandom(80), b"\x00", os.urandom(1)[:0] + b"\x01\x01" + bytes(60)],
        "size": [b"", os.urandom(3000)],
    }
    for datagrams in junk.values():
        for datagram in datagrams:
            stranger.socket.send(datagram)
    stranger.check(connection, password="wrong")
    other = LiteConnection(mux.agents, [])
    other.shut()
    stranger.check(other)
    expected = {reason: len(datagrams) for reason, datagrams in junk.items()}
    expected |= {"bad_integrity": 1, "unknown_ufrag": 1}
    await until(lambda: dict(mux.dropped) == expected, within=2, what=f"all is dropped: {expected}")
    assert mux.path_count == 0
    assert mux.sent == 0
    assert stranger.read() is None
    assert connection.selected is None


async def test_a_flood_does_not_keep_the_loop_from_its_work(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    flooder, viewer = client(), client()
    junk = os.urandom(200)
    longest = 0.0
    for _ in range(20):
        for _ in range(200):
            flooder.socket.send(b"\x90" + junk)
        viewer.check(connection)
        began = time.monotonic()
        await viewer.answer()
        longest = max(longest, time.monotonic() - began)
    await until(lambda: mux.dropped["unknown_address"] == 4000, within=5, what="the flood is read")
    assert mux.path_count == 1
    assert longest < 0.5


async def test_a_port_in_use_is_named(mux: UdpMux) -> None:
    with pytest.raises(PortError, match=rf"webrtc.udpmux: UDP port {mux.port} is in use.*0 for any free one"):
        UdpMux.bind(mux.port, Agents())


async def test_ipv4_alone_works_where_ipv6_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "no IPv6")

    monkeypatch.setattr(udp_mux, "_dual_stack_socket", refuse)
    mux = UdpMux.bind(0, Agents())
    mux.start()
    viewer = StunClient(mux, "127.0.0.2")
    try:
        assert not mux.ipv6
        viewer.check(LiteConnection(mux.agents, []))
        answer = await viewer.answer()
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == viewer.socket.getsockname()
    finally:
        viewer.close()
        mux.close()


async def test_a_viewer_has_a_bounded_number_of_paths(mux: UdpMux, client: Callable[..., StunClient]) -> None:
    connection = LiteConnection(mux.agents, [])
    first = client()
    first.check(connection)
    await first.answer()
    selected = connection.selected
    for _ in range(2 * MAX_PATHS):
        other = client()
        other.check(connection)
        await other.answer()
    assert mux.path_count == len(connection.paths) == MAX_PATHS
    assert connection.selected is selected
    assert selected in connection.paths
    # one that was pushed out comes back with its next check
    newest = client()
    newest.check(connection)
    await newest.answer()
    newest.socket.send(b"\x17 data")
    assert await asyncio.wait_for(connection.recv(), 2) == b"\x17 data"


async def test_a_replayed_check_moves_nothing(mux: UdpMux, client: Callable[..., StunClient]) -> None:
    connection = LiteConnection(mux.agents, [])
    viewer, attacker = client(), client()
    recorded = viewer.check(connection, use_candidate=True)
    await viewer.answer()
    viewer.socket.send(recorded)  # the viewer itself may repeat it: its answer was lost
    await viewer.answer()
    attacker.socket.send(recorded)
    await until(lambda: mux.dropped["replayed"] == 1, within=2, what="the replay is dropped")
    assert connection.selected is not None
    assert connection.selected.remote[1] == viewer.socket.getsockname()[1]
    assert attacker.read() is None


async def test_the_first_check_selects_and_a_nomination_overrides(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    changes: list[int] = []
    connection.on_path_change = lambda: changes.append(1)
    first, second = client(), client()

    async def selected_after(who: StunClient, *, use_candidate: bool) -> int:
        who.check(connection, use_candidate=use_candidate)
        await who.answer()
        assert connection.selected is not None
        return connection.selected.remote[1]

    ports = first.socket.getsockname()[1], second.socket.getsockname()[1]
    assert await selected_after(first, use_candidate=False) == ports[0]
    assert await selected_after(second, use_candidate=False) == ports[0]
    assert await selected_after(second, use_candidate=True) == ports[1]
    assert await selected_after(second, use_candidate=True) == ports[1]
    assert changes == [1]


async def test_a_check_that_the_viewer_did_not_send_from_there_moves_nothing(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    """An authentic check that we have not seen, or have forgotten, sent from elsewhere by whoever recorded
    it."""
    connection = LiteConnection(mux.agents, [])
    viewer, attacker, elsewhere = client(), client(), client()
    viewer.check(connection)
    await viewer.answer()
    connection.remote_username, connection.remote_password = "them", "their password"
    changes: list[int] = []
    connection.on_path_change = lambda: changes.append(1)

    async def asked(who: StunClient) -> aioice.stun.Message:
        messages = [aioice.stun.parse_message(data) for data in await received(who, 2)]
        (request,) = (each for each in messages if each.message_class == aioice.stun.Class.REQUEST)
        return request

    attacker.check(connection, use_candidate=True)
    request = await asked(attacker)
    attacker.respond(b"a guess", request.transaction_id)
    before = mux.received
    # even the viewer's own answer counts only from where the question went
    viewer.respond(b"their password", request.transaction_id)
    await until(lambda: mux.received > before, within=2, what="it is read")
    assert changes == []
    elsewhere.check(connection, use_candidate=True)
    elsewhere.respond(b"their password", (await asked(elsewhere)).transaction_id)
    await until(lambda: changes == [1], within=2, what="the viewer is followed")
    assert connection.selected is not None
    assert connection.selected.remote[1] == elsewhere.socket.getsockname()[1]


async def test_a_viewer_that_answers_no_check_is_followed_when_it_is_silent_elsewhere(
    mux: UdpMux, client: Callable[..., StunClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = LiteConnection(mux.agents, [])
    before, after = client(), client()
    before.check(connection)
    await before.answer()
    connection.remote_username, connection.remote_password = "them", "their password"

    async def selected_after(checks: int) -> int:
        for _ in range(checks):
            read = mux.received
            after.check(connection, use_candidate=True)
            await until(lambda: mux.received > read, within=2, what="it is read")  # noqa: B023 called at once
        assert connection.selected is not None
        return connection.selected.remote[1]

    ports = before.socket.getsockname()[1], after.socket.getsockname()[1]
    assert await selected_after(2 * ice_lite.UNANSWERED_CHECKS) == ports[0]
    monkeypatch.setattr(ice_lite, "SILENT_PATH", 0.0)
    assert await selected_after(1) == ports[1]


async def test_our_own_checks_are_few_however_many_addresses_are_forged(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    viewer = client()
    viewer.check(connection)
    await viewer.answer()
    connection.remote_username, connection.remote_password = "them", "their password"
    sent = mux.sent
    attackers = [client() for _ in range(60)]
    for attacker in attackers:
        attacker.check(connection, use_candidate=True)
    await until(lambda: mux.agents.verified == 61, within=5, what="all are read")
    rate, burst = ice_lite.OWN_CHECKS
    assert mux.sent - sent - 60 <= burst + rate


async def test_an_address_goes_over_to_the_viewer_who_authenticates(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    """A NAT gives a port that one viewer had to another one."""
    old, new = LiteConnection(mux.agents, []), LiteConnection(mux.agents, [])
    box = client()
    for connection in (old, new):
        box.check(connection)
        await box.answer()
    assert not old.paths
    box.socket.send(b"\x17 data")
    assert await asyncio.wait_for(new.recv(), 2) == b"\x17 data"
    old.shut()
    assert mux.path_count == 1


async def test_restart_takes_new_credentials_and_drops_the_old_ones_when_used(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    old_name, old_password = connection.local_username, connection.local_password
    viewer = client()
    viewer.check(connection)
    await viewer.answer()
    connection.restart()
    assert connection.local_username != old_name
    assert connection.local_password != old_password
    assert mux.agents.knows(old_name)
    viewer.check(connection)
    answer = await viewer.answer()
    assert answer.check_message_integrity(connection.local_password.encode())
    assert not mux.agents.knows(old_name)


async def test_a_check_of_our_own_brings_a_viewer_back(
    mux: UdpMux, client: Callable[..., StunClient]
) -> None:
    connection = LiteConnection(mux.agents, [])
    viewer = client()
    viewer.check(connection)
    await viewer.answer()
    connection.remote_username, connection.remote_password = "them", "their password"
    moment = time.monotonic()
    connection.revive()
    request = await viewer.answer()
    assert request.message_class == aioice.stun.Class.REQUEST
    assert request.attributes["USERNAME"] == f"them:{connection.local_username}"
    assert request.check_message_integrity(b"their password")

    before = mux.received
    viewer.respond(b"guess", request.transaction_id)
    viewer.respond(b"their password", bytes(12))
    await until(lambda: mux.received == before + 2, within=2, what="forged answers are read")
    assert not connection.answered_since(moment)
    viewer.respond(b"their password", request.transaction_id)
    await until(lambda: connection.answered_since(moment), within=2, what="the answer counts")


async def test_closing_frees_everything_and_releases_who_waits(mux: UdpMux) -> None:
    connection = LiteConnection(mux.agents, [])
    waiting = [asyncio.ensure_future(connection.connect()), asyncio.ensure_future(connection.recv())]
    event = asyncio.ensure_future(connection.get_event())
    await asyncio.sleep(0)
    connection.shut()
    await connection.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]
    await asyncio.wait_for(event, 1)
    with pytest.raises(ConnectionError):
        await connection.send(b"late")
    assert not mux.agents.knows(connection.local_username)
    assert mux.path_count == 0


async def test_what_waits_for_dtls_is_bounded(mux: UdpMux, client: Callable[..., StunClient]) -> None:
    connection = LiteConnection(mux.agents, [])
    viewer = client()
    viewer.check(connection)
    await viewer.answer()
    for _ in range(300):
        viewer.socket.send(b"\x17 data")
    await until(lambda: connection.overflowed == 300 - 256, within=2, what="the surplus is dropped")


async def connected(mux: UdpMux, viewer: StunClient) -> LiteConnection:
    connection = LiteConnection(mux.agents, [])
    viewer.check(connection)
    await viewer.answer()
    return connection


async def received(viewer: StunClient, count: int) -> list[bytes]:
    found: list[bytes] = []

    def all_there() -> bool:
        while (data := viewer.read()) is not None:
            found.append(data)
        return len(found) >= count

    await until(all_there, within=5, what=f"{count} datagrams arrive")
    return found


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.2", "::1"])
@pytest.mark.parametrize(
    ("size", "stride"), [(16 * 1232, 1232), (3 * 1232 + 7, 1232), (700, 1232), (1233, 1232)]
)
async def test_segmented_and_single_sends_are_the_same_on_the_wire(
    mux: UdpMux, client: Callable[..., StunClient], server: str, size: int, stride: int
) -> None:
    if not mux.segmentation:
        pytest.skip("this kernel does not segment")
    viewer = client(server)
    connection = await connected(mux, viewer)
    media = memoryview(b"\x80" + os.urandom(size - 1))
    expected = [bytes(media[at : at + stride]) for at in range(0, size, stride)]
    arrived = []
    for segmentation in (True, False):
        mux.segmentation = segmentation
        sent, counted = mux.sent, connection.bytes_sent
        assert connection.send_segments(media, stride)
        arrived.append(await received(viewer, len(expected)))
        assert mux.sent - sent == len(expected)
        assert connection.bytes_sent - counted == size
    assert arrived == [expected, expected]
    assert isinstance(connection.selected, UdpPath)
    assert connection.selected.segmented, "the way was not found to take single sends only"


class StubbornSocket:
    """A socket whose sends fail as told."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.refuse: Callable[[bool], int] = lambda segmented: 0

    def fileno(self) -> int:
        return self._real.fileno()

    def sendmsg(
        self,
        buffers: tuple[bytes],
        ancillary: list[tuple[int, int, bytes]],
        flags: int,
        address: tuple[str, int],
    ) -> int:
        segmented = any(option[:2] == (socket.SOL_UDP, udp_mux.UDP_SEGMENT) for option in ancillary)
        if number := self.refuse(segmented):
            raise OSError(number, os.strerror(number))
        return self._real.sendmsg(buffers, ancillary, flags, address)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def stubborn(mux: UdpMux) -> StubbornSocket:
    wrapped = StubbornSocket(mux._socket)
    object.__setattr__(mux, "_socket", wrapped)
    return wrapped


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
async def test_a_way_that_takes_no_segmented_sends_gets_single_ones(
    mux: UdpMux, client: Callable[..., StunClient], number: int
) -> None:
    mux.segmentation = True
    viewer, other = client(), client()
    connection, unaffected = await connected(mux, viewer), await connected(mux, other)
    wrapped = stubborn(mux)
    wrapped.refuse = lambda segmented: number if segmented else 0
    assert connection.send_segments(memoryview(b"\x80abc"), 2)
    assert await received(viewer, 2) == [b"\x80a", b"bc"]
    assert isinstance(connection.selected, UdpPath)
    assert isinstance(unaffected.selected, UdpPath)
    assert (connection.selected.segmented, unaffected.selected.segmented) == (False, True)


@pytest.mark.parametrize("segmentation", [True, False])
async def test_a_full_buffer_is_said_and_room_is_noticed(
    mux: UdpMux, client: Callable[..., StunClient], segmentation: bool
) -> None:
    mux.segmentation = segmentation
    connection = await connected(mux, client())
    wrapped = stubborn(mux)
    wrapped.refuse = lambda segmented: errno.EAGAIN
    assert not connection.send_segments(memoryview(b"\x80abc"), 2)
    assert not connection.writable
    assert mux.dropped["send_buffer_full"] == 1
    await until(lambda: connection.writable, within=5, what="room is noticed")
    wrapped.refuse = lambda segmented: errno.ENETUNREACH
    assert connection.send_segments(memoryview(b"\x80abc"), 2), "lost, as on any network"
    assert mux.dropped["send_enetunreach"] == (1 if segmentation else 2)
    connection.shut()
    assert connection.send_segments(memoryview(b"\x80abc"), 2), "nobody is there: nothing waits"


def test_segmentation_is_probed_by_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(udp_mux.segmentation_works(), bool)
    monkeypatch.setattr(udp_mux, "UDP_SEGMENT", 9999)
    assert not udp_mux.segmentation_works()
