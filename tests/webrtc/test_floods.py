"""Floods of junk: they are counted, and what is expensive is done a bounded number of times for them."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aioice.stun
import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport

from streamserver.webrtc import agents, ice_lite, rate_limit
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.ports import Ports
from streamserver.webrtc.stun import IntegrityKey
from tests.waiting import until
from tests.webrtc.room import Room, lite

FLOOD = 4000
"""Datagrams of one kind."""

BATCH = 200
"""Datagrams sent before the server reads: fewer than its buffer holds, so that none is lost before it is
counted."""


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    opened = Ports.bind(0, 0)
    await opened.start()
    yield opened
    opened.close()


@pytest.fixture
def _frozen_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets do not grow while the flood comes: what is left of them is what may be had at once."""
    allow = rate_limit.RateLimit.allow
    monkeypatch.setattr(rate_limit.RateLimit, "allow", lambda self, now: allow(self, float("-inf")))


def check(connection: LiteConnection, password: str) -> bytes:
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{connection.local_username}:them"
    message.add_message_integrity(password.encode())
    return bytes(message)


Datagram = tuple[socket.socket, bytes]
"""From which socket, and what."""


async def flood(ports: Ports, datagram: Callable[[int], Datagram], count: int = FLOOD) -> None:
    """Send so many to the UDP port; return when all of them are read."""
    before = ports.udp.received

    def all_read(sent: int) -> Callable[[], bool]:
        return lambda: ports.udp.received >= before + sent

    for number in range(1, count + 1):
        sock, data = datagram(number)
        sock.sendto(data, ("127.0.0.1", ports.udp.port))
        if number % BATCH == 0:
            await until(all_read(number), within=5, what="the batch is read")
    await until(all_read(count), within=5, what="all is read")


@contextmanager
def sockets(count: int) -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in made:
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
    yield made
    for each in made:
        each.close()


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the HMACs that are really computed."""
    computed = [0]
    digest = IntegrityKey.digest

    def counted(self: IntegrityKey, *parts: bytes | memoryview) -> bytes:
        computed[0] += 1
        return digest(self, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(IntegrityKey, "digest", counted)
        yield computed


@pytest.mark.usefixtures("_frozen_budgets")
async def test_checks_with_a_wrong_password_from_one_address(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = LiteConnection(ports.agents, [])
    junk = check(connection, "wrong")
    with sockets(2) as (attacker, viewer), counting(monkeypatch) as computed:
        await flood(ports, lambda _: (attacker, junk))
        assert computed[0] == ports.agents.verified == agents.SOURCE_CHECKS[1]
        assert ports.agents.dropped["over_budget"] == FLOOD - agents.SOURCE_CHECKS[1]
        assert ports.udp.sent == 0
        # a viewer comes in from elsewhere meanwhile
        viewer.sendto(check(connection, connection.local_password), ("127.0.0.1", ports.udp.port))
        await until(lambda: connection.selected, within=2, what="the viewer is let in")


@pytest.mark.usefixtures("_frozen_budgets")
async def test_checks_with_a_wrong_password_from_many_addresses(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, other = LiteConnection(ports.agents, []), LiteConnection(ports.agents, [])
    junk = check(connection, "wrong")
    with sockets(100) as attackers, counting(monkeypatch) as computed:
        await flood(ports, lambda number: (attackers[number % 99], junk))
        assert computed[0] == agents.STRANGERS_CHECKS[1]
        # nobody else pays for it, from whatever address
        attackers[-1].sendto(check(other, other.local_password), ("127.0.0.1", ports.udp.port))
        await until(lambda: other.selected, within=2, what="another viewer is let in")


async def test_budgets_are_remembered_for_a_bounded_number_of_addresses(ports: Ports) -> None:
    connection = LiteConnection(ports.agents, [])
    junk = memoryview(check(connection, "wrong"))
    for number in range(3 * agents.REMEMBERED_SOURCES):
        ports.agents.admit(junk, ("192.0.2.1", number), None)
    assert len(ports.agents._sources) == agents.REMEMBERED_SOURCES


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(os.urandom(200).replace(b"\0", b"\1"), id="anything"),
        pytest.param(b"\x80" + bytes(1100), id="rtp"),
        pytest.param(b"\x16\xfe\xff" + bytes(200), id="dtls"),
        pytest.param(b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(20), id="stun without a name"),
        pytest.param(
            struct.pack("!HHI12sHH8sHH20s", 1, 36, 0x2112A442, b"t", 6, 8, b"who:them", 8, 20, b""),
            id="stun for nobody",
        ),
    ],
)
async def test_what_belongs_to_nobody_costs_one_look(
    ports: Ports, junk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = LiteConnection(ports.agents, [])
    with sockets(1) as (attacker,), counting(monkeypatch) as computed:
        await flood(ports, lambda _: (attacker, junk))
        assert computed[0] == 0
    assert ports.agents.dropped.total() == FLOOD
    assert ports.udp.sent == ports.udp.path_count == 0
    assert connection.bytes_received == 0


@pytest.mark.usefixtures("_frozen_budgets")
async def test_a_viewer_s_own_checks_have_a_budget_and_the_rest_waits_for_nobody(ports: Ports) -> None:
    """Whoever has the password may still not make us answer without end."""
    connection = LiteConnection(ports.agents, [])
    with sockets(1) as (viewer,):
        await flood(ports, lambda _: (viewer, check(connection, connection.local_password)), 1000)
    assert ports.udp.sent == ports.agents.verified == agents.SOURCE_CHECKS[1]


@pytest.mark.usefixtures("_frozen_budgets")
async def test_before_dtls_a_viewer_s_datagrams_are_bounded(ports: Ports) -> None:
    connection = LiteConnection(ports.agents, [])
    with sockets(1) as (viewer,):
        viewer.sendto(check(connection, connection.local_password), ("127.0.0.1", ports.udp.port))
        await until(lambda: connection.selected, within=2, what="the viewer is there")
        handled = 0

        async def handle() -> None:
            nonlocal handled
            while True:
                await connection.recv()
                handled += 1

        handler = asyncio.create_task(handle())
        await flood(ports, lambda _: (viewer, b"\x16\xfe\xff" + bytes(100)))
        await flood(ports, lambda _: (viewer, b"\x80\xc8" + bytes(100)))
        await flood(ports, lambda _: (viewer, b"\x80\x66" + bytes(1100)))
        handler.cancel()
    assert handled <= ice_lite.DTLS_BUDGET[1] + ice_lite.RTCP_BUDGET[1]
    dropped = ports.agents.dropped
    assert dropped["unwanted_media"] == FLOOD
    assert dropped["over_budget"] >= 2 * FLOOD - ice_lite.DTLS_BUDGET[1] - ice_lite.RTCP_BUDGET[1]


async def test_after_dtls_a_viewer_s_junk_is_decrypted_a_bounded_number_of_times(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flood comes from the viewer's own address; another viewer does not notice."""
    bad, good = await room.viewer(room.session("bad")), await room.viewer(room.session("good"))
    await until(lambda: bad.pictures and good.pictures, within=10, what="both see the picture")
    handled = [0]
    receive = RTCDtlsTransport._recv_next
    target = bad.peer._dtls

    async def counted(self: RTCDtlsTransport) -> None:
        handled[0] += self is target
        await receive(self)

    monkeypatch.setattr(RTCDtlsTransport, "_recv_next", counted)
    send = bad.pc.getTransceivers()[0].receiver.transport.transport._send
    connection = lite(bad.session)
    before = connection.bytes_received
    began = time.monotonic()
    kinds = (b"\x80\xc8", b"\x80\x66", b"\x17\xfe")
    count = 0
    while connection.bytes_received - before < 9000 * 300:
        for _ in range(30):
            await send(kinds[count % 3] + os.urandom(298))
            count += 1
        await asyncio.sleep(0)
    elapsed = time.monotonic() - began
    rates = (ice_lite.DTLS_BUDGET, ice_lite.RTCP_BUDGET)
    assert handled[0] <= sum(burst + rate * elapsed for rate, burst in rates)
    assert handled[0] < count / 2
    shown = len(good.pictures)
    await until(lambda: len(good.pictures) > shown + 10, within=10, what="the other sees on")
    for viewer in (bad, good):
        await viewer.close()
