"""Full ICE: a viewer finds a server that has ports of its own for each, also behind a NAT."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any

import aioice.stun
import pytest
from aioice.ice import StunProtocol
from aiortc import RTCIceServer, RTCSessionDescription

from streamserver.config.media_settings import WebRTCSettings
from streamserver.config.types import PortRange
from streamserver.webrtc import full_ice
from streamserver.webrtc.addresses import Address
from streamserver.webrtc.consent import Freshness
from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.full_ice import MAX_REMOTE_CANDIDATES, FullConnection
from streamserver.webrtc.ice_lite import INBOX_LIMIT
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.network import Namespace
from tests.waiting import until
from tests.webrtc.browser import look, open_page, watch
from tests.webrtc.masquerade import INSIDE, masquerade
from tests.webrtc.room import Viewer, open_room, peer_of

HERE = [ip_address("127.0.0.1")]


def settings(**more: object) -> WebRTCSettings:
    return WebRTCSettings.model_validate({"icelite": False, **more})


@pytest.fixture(autouse=True)
def _our_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_ice, "interface_addresses", lambda: HERE)


async def test_picture_sound_data_and_ports_in_the_range() -> None:
    async with open_room(settings(epr="41000-41009")) as room:
        assert room.manager.port == 0
        bob = room.session("bob")
        viewer = await room.viewer(bob)
        assert "a=ice-lite" not in viewer.provide.sdp
        ports = {int(line.split()[5]) for line in viewer.provide.sdp.split("\r\n") if "typ host" in line}
        assert ports
        assert ports <= set(range(41000, 41010))
        await until(
            lambda: len(viewer.pictures) > 5 and viewer.sounds > 5, within=10, what="media is decoded"
        )
        assert room.video.keyframe_requests <= 1, "where connecting took longer than is kept"
        assert bob.is_watching
        assert peer_of(bob).connection.freshness() is Freshness.FRESH
        assert room.metric("neko_webrtc_ice_candidates_used", session_id="bob", protocol="udp") == 1
        assert (room.metric("neko_webrtc_bytes_sent", session_id="bob", transport="ice") or 0) > 1000
        with pytest.raises(SignalError, match="ask for a new connection"):
            await peer_of(bob).restart()
        await viewer.close()
        await until(lambda: bob.media is None, within=10, what="the peer ends when its viewer says goodbye")


async def gathered(connection: FullConnection) -> list[str]:
    try:
        await connection.gather_candidates()
        return [f"{each.type} {each.host}" for each in connection.local_candidates]
    finally:
        await connection.close()


async def test_a_range_that_is_used_up_leaves_out_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert await gathered(FullConnection(port_range=PortRange(port, port))) == []
    assert "no UDP port is free for a viewer" in capsys.readouterr().out


async def test_hosts_are_told_under_their_public_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    public: list[Address] = [ip_address("203.0.113.5"), ip_address("203.0.113.6"), ip_address("2001:db8::5")]
    with Namespace() as host:
        own = [ip_address("127.0.0.1"), ip_address(host.gateway), ip_address(host.gateway6)]
        monkeypatch.setattr(full_ice, "interface_addresses", lambda: own)
        told = await gathered(FullConnection(public=public))
    assert told == ["host 203.0.113.5", "host 203.0.113.6", "host 2001:db8::5"]


@contextmanager
def silent_server() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


async def test_a_stun_server_that_is_silent_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(full_ice, "GATHER_TIMEOUT", 0.3)
    monkeypatch.setattr(full_ice, "interface_addresses", lambda: [ip_address("127.0.0.2")])
    with silent_server() as port:
        servers = [RTCIceServer(f"stun:127.0.0.1:{port}")]
        assert await gathered(FullConnection(servers)) == ["host 127.0.0.2"]
    assert "did not answer" in capsys.readouterr().out


async def test_candidates_that_cannot_help_are_left_out() -> None:
    connection = FullConnection()
    for useless in (
        "candidate:1 1 udp 2130706431 2b5c.local 5000 typ host",
        "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
    ):
        connection.add_candidate(useless)
    with pytest.raises(SignalError, match="cannot be read"):
        connection.add_candidate("candidate:nonsense")
    for number in range(MAX_REMOTE_CANDIDATES + 5):
        connection.add_candidate(f"candidate:1 1 udp 2130706431 192.0.2.1 {5000 + number} typ host")
    await until(lambda: not connection._adding, within=2, what="they are taken")
    assert len(connection.remote_candidates) == MAX_REMOTE_CANDIDATES
    connection.add_candidate("")
    await until(lambda: not connection._adding, within=2, what="the end is taken")
    await connection.close()


async def test_what_waits_for_dtls_is_bounded() -> None:
    connection = FullConnection()
    for _ in range(300):
        connection.data_received(b"\x17 data", 1)
    connection.data_received(b"", 1)
    assert connection.overflowed == 300 - INBOX_LIMIT
    await connection.close()


async def test_a_viewer_that_says_it_has_no_address_is_found_by_its_checks() -> None:
    """As a browser that hides its addresses behind names of mDNS, and says at once that there are no more."""
    async with open_room(settings()) as room:
        bob = room.session("bob")
        provide = await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
        viewer = Viewer(bob, provide)
        await viewer.pc.setRemoteDescription(RTCSessionDescription(provide.sdp, "offer"))
        await viewer.pc.setLocalDescription(await viewer.pc.createAnswer())
        sdp = viewer.pc.localDescription.sdp
        hidden = re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+", r"\1 7a2f.local", sdp)
        assert ".local" in hidden
        assert "a=end-of-candidates" in hidden
        await viewer.peer.set_answer(hidden)
        await until(lambda: viewer.channel is not None, within=10, what="the data channel is open")
        await viewer.close()


async def test_a_flood_is_looked_at_and_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = [0]
    parse = StunProtocol.datagram_received

    def counted(self: StunProtocol, data: bytes | str, addr: tuple[Any, ...]) -> None:
        parsed[0] += isinstance(self, full_ice._Socket)  # the viewer's end is in this process too
        parse(self, data, addr)

    monkeypatch.setattr(full_ice, "CHECKS", (1.0, 100))
    async with open_room(settings()) as room:
        viewer = await room.viewer(room.session("bob"))
        connection = viewer.peer.connection
        assert isinstance(connection, FullConnection)
        await until(lambda: viewer.pictures, within=10, what="the picture is there")
        port = connection.local_candidates[0].port
        handled, began = connection.bytes_received, time.monotonic()
        monkeypatch.setattr(StunProtocol, "datagram_received", counted)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(3000):
                junk = (b"\x00\x01" + bytes(60), b"\x80\xc8" + bytes(100), b"\x16\xfe\xff" + bytes(100))
                stranger.sendto(junk[number % 3], ("127.0.0.1", port))
                await asyncio.sleep(0)  # asyncio reads one at a time
        await until(lambda: connection.overflowed > 0, within=5, what="the budget is spent")
        rate, burst = full_ice.CHECKS
        elapsed = time.monotonic() - began
        assert parsed[0] <= burst + rate * elapsed
        assert connection.bytes_received - handled < 100_000, "a stranger's datagrams are not the viewer's"
        shown = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) > shown + 5, within=10, what="the picture goes on")
        await viewer.close()


@asynccontextmanager
async def stun_server(host: Namespace) -> AsyncIterator[tuple[str, Counter[str]]]:
    """Answer binding requests on the other host; count who asked."""
    sock = host.udp_socket()
    sock.bind((host.address, 3478))
    sock.setblocking(False)
    asked: Counter[str] = Counter()

    def answer() -> None:
        data, address = sock.recvfrom(2048)
        request = aioice.stun.parse_message(data)
        response = aioice.stun.Message(
            aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        asked[address[0]] += 1
        sock.sendto(bytes(response), address)

    loop = asyncio.get_running_loop()
    loop.add_reader(sock, answer)
    try:
        yield f"stun:{host.address}:3478", asked
    finally:
        loop.remove_reader(sock)
        sock.close()


async def test_a_browser_finds_a_server_behind_a_nat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_ice, "interface_addresses", lambda: [ip_address(INSIDE)])
    with Namespace() as host, masquerade(host):
        async with stun_server(host) as (url, asked):
            servers = {"frontend": [{"urls": [url]}], "backend": [{"urls": [url]}]}
            async with (
                open_room(settings(iceservers=servers)) as room,
                open_page(["ip", "netns", "exec", host.name]) as page,
            ):
                await watch(room, page, "bob")
                bob = await look(page, "bob", 10)
                assert bob["size"] == [320, 240]
                assert isinstance(bob["messages"], list)
                assert [message[0] for message in bob["messages"][:3]] == [2, 1, 3]
                assert set(asked) >= {host.gateway}, "we asked, and were seen under the NAT's address"
