"""A real headless Chromium, Debian's, as a user and with its sandbox, watches a synthetic stream.

The stream is encoded by PyAV in the test and stands in for capture; everything else on our side is real.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from streamserver.config.media_settings import WebRTCSettings
from tests.network import Namespace
from tests.waiting import until
from tests.webrtc.browser import look, open_page, watch
from tests.webrtc.room import DARK, Room, SyntheticVideo, lite, open_room, peer_of


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with open_page() as opened:
        yield opened


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with open_room(WebRTCSettings(udpmux=0, nat1to1=("127.0.0.1",))) as running:
        yield running


async def test_two_people_in_a_browser_see_the_picture_and_talk_to_us(room: Room, page: Page) -> None:
    await watch(room, page, "bob")
    bob = await look(page, "bob", 20)
    assert bob["size"] == [320, 240]
    expected = (DARK - 16) * 255 / 219  # limited range, as the encoder wrote it
    left, right = bob["left"], bob["right"]
    assert isinstance(left, list)
    assert isinstance(right, list)
    assert left[:3] == pytest.approx([expected] * 3, abs=8)
    assert min(right[:3]) > 170
    assert bob["tracks"] == [["audio", "stream"], ["video", "stream"]]
    assert bob["label"] == "data"
    messages = bob["messages"]
    assert isinstance(messages, list)
    assert [message[0] for message in messages[:3]] == [2, 1, 3]
    assert messages[2][3:11] == [0, 0, 0, 123, 0, 0, 1, 200]
    assert isinstance(bob["sound"], int)
    assert bob["sound"] > 10
    # nothing was lost before the browser could decrypt, so it never had to ask for a key frame
    assert (bob["lost"], bob["plis"]) == (0, 0)
    assert room.video.keyframe_requests <= 1, "ours, where connecting took longer than is kept"

    await watch(room, page, "carol")
    carol = await look(page, "carol", 5)
    assert carol["state"] == "connected"
    again = await look(page, "bob", 30)
    assert again["lost"] == 0

    session = room.sessions.get("bob")
    assert session is not None
    await page.evaluate("window.bob.pc.close()")
    await until(lambda: session.media is None, within=10, what="bob's peer ends")
    assert not session.is_watching
    frames = (await look(page, "carol", 5))["frames"]
    assert isinstance(frames, int)
    await look(page, "carol", frames + 5)


async def test_playout_delay_is_negotiated_with_the_browser(room: Room, page: Page) -> None:
    await watch(room, page, "bob")
    answer = await page.evaluate("window.bob.pc.localDescription.sdp")
    assert "playout-delay" in answer
    await look(page, "bob", 30)
    jitter_ms = await page.evaluate(
        """async () => {
            const all = [...(await window.bob.pc.getStats()).values()];
            const video = all.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
            return 1000 * video.jitterBufferDelay / video.jitterBufferEmittedCount;
        }"""
    )
    assert jitter_ms < 20


async def test_an_ice_restart_in_the_browser(room: Room, page: Page) -> None:
    await watch(room, page, "bob")
    seen = await look(page, "bob", 5)
    session = room.sessions.get("bob")
    assert session is not None
    peer = peer_of(session)
    offer = await peer.restart()
    answer = await page.evaluate(
        """async (sdp) => {
            const {pc} = window.bob;
            await pc.setRemoteDescription({type: "offer", sdp});
            await pc.setLocalDescription(await pc.createAnswer());
            return pc.localDescription.sdp;
        }""",
        offer,
    )
    await peer.set_answer(answer)
    await until(lambda: not lite(session)._old_usernames, within=10, what="checks come with the new name")
    frames = seen["frames"]
    assert isinstance(frames, int)
    await look(page, "bob", frames + 20)
    assert session.is_watching


async def test_where_udp_is_blocked_the_picture_comes_by_tcp() -> None:
    """The browser is a host of its own whose firewall lets nothing by UDP through."""
    with Namespace() as host:
        rules = "add table inet f; add chain inet f out { type filter hook output priority 0; }; "
        rules += "add rule inet f out meta l4proto udp drop"
        subprocess.run(["ip", "netns", "exec", host.name, "nft", rules], check=True)
        async with (
            open_room(WebRTCSettings(udpmux=0, nat1to1=(host.gateway,))) as room,
            open_page(["ip", "netns", "exec", host.name]) as page,
        ):
            await watch(room, page, "bob")
            bob = await look(page, "bob", 20)
            assert bob["size"] == [320, 240]
            assert isinstance(bob["messages"], list)
            assert [message[0] for message in bob["messages"][:3]] == [2, 1, 3]
            assert (bob["lost"], bob["plis"]) == (0, 0)
            session = room.sessions.get("bob")
            assert session is not None
            connection = lite(session)
            assert {path.protocol for path in connection.paths} == {"tcp"}
            assert room.metric("neko_webrtc_ice_candidates_used", session_id="bob", protocol="tcp") == 1
            assert room.metric("neko_webrtc_ice_candidates_used", session_id="bob", protocol="udp") == 0


async def test_a_phone_changes_networks_and_the_picture_goes_on() -> None:
    """The browser's host loses its address and gets another one; the media is brought there."""
    with Namespace() as host:
        async with (
            open_room(WebRTCSettings(udpmux=0, nat1to1=(host.gateway,))) as room,
            open_page(["ip", "netns", "exec", host.name]) as page,
        ):
            await watch(room, page, "bob")
            frames = (await look(page, "bob", 5))["frames"]
            session = room.sessions.get("bob")
            assert session is not None
            connection = lite(session)
            assert connection.selected is not None
            assert connection.selected.remote[0].endswith(host.address)
            host.change_networks()
            await until(
                lambda: (
                    connection.selected is not None and connection.selected.remote[0].endswith(host.address)
                ),
                within=20,
                what="the media goes to the new address",
            )
            assert isinstance(frames, int)
            shown = (await look(page, "bob", frames + 1))["frames"]
            assert isinstance(shown, int)
            assert (await look(page, "bob", shown + 15))["state"] == "connected"
            assert session.is_watching


async def test_every_kind_of_address_brings_the_picture() -> None:
    """A host of its own, by IPv4 and by IPv6, and the one page watches both ways."""
    with Namespace() as host:
        async with open_page(["ip", "netns", "exec", host.name]) as page:
            for name, address in (("four", host.gateway), ("six", host.gateway6)):
                async with open_room(WebRTCSettings(udpmux=0, nat1to1=(address,))) as room:
                    await watch(room, page, name)
                    assert (await look(page, name, 5))["size"] == [320, 240]


async def test_a_browser_on_this_machine_may_use_ipv6(page: Page) -> None:
    async with open_room(WebRTCSettings(udpmux=0, nat1to1=("::1",))) as room:
        await watch(room, page, "bob")
        assert (await look(page, "bob", 5))["size"] == [320, 240]


async def test_what_the_network_loses_comes_again_by_rtx() -> None:
    """The browser's host loses every tenth packet that comes."""
    with Namespace() as host:
        rules = "add table inet f; add chain inet f in { type filter hook input priority 0; }; "
        rules += "add rule inet f in meta l4proto udp meta length > 300 numgen random mod 10 == 0 drop"
        async with (
            open_room(WebRTCSettings(udpmux=0, nat1to1=(host.gateway,))) as room,
            open_page(["ip", "netns", "exec", host.name]) as page,
        ):
            await watch(room, page, "bob")
            await look(page, "bob", 5)
            subprocess.run(["ip", "netns", "exec", host.name, "nft", rules], check=True)
            assert isinstance(room.video, SyntheticVideo)
            room.video.noise = True  # large frames: many packets
            session = room.sessions.get("bob")
            assert session is not None
            await until(lambda: peer_of(session).video.resent > 20, within=20, what="packets are sent again")
            restored = await page.evaluate(
                """async () => {
                    const all = [...(await window.bob.pc.getStats()).values()];
                    return all.find((e) => e.type === "inbound-rtp" && e.kind ===
                    "video").retransmittedPacketsReceived;
                }"""
            )
            assert restored > 10
