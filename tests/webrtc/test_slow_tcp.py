"""A real Chromium whose network blocks UDP and becomes slow: TCP loses nothing, it only becomes late."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.network import Namespace
from tests.waiting import until
from tests.webrtc.browser import CONNECT, open_page
from tests.webrtc.room import open_room, peer_of
from tests.webrtc.test_hard_network import WATCH_GAPS, full, ladder, slow_cable

pytestmark = [pytest.mark.slow, pytest.mark.alone]

NO_UDP = (
    "add table inet f; add chain inet f out { type filter hook output priority 0; }; "
    "add rule inet f out meta l4proto udp drop"
)


async def test_a_slow_tcp_viewer_gets_a_lower_quality_and_recovers() -> None:
    videos = ladder()
    with Namespace() as home:
        enter = ["ip", "netns", "exec", home.name]
        subprocess.run([*enter, "nft", NO_UDP], check=True)
        settings = WebRTCSettings(udpmux=0, nat1to1=(home.gateway,))
        async with open_room(settings, *videos) as room, open_page(enter) as page:
            encoders = [asyncio.create_task(video.run()) for video in videos]
            try:
                bob = room.session("bob")
                provide = await room.manager.create_peer(bob, VideoRequest(), AudioRequest(disabled=True))
                wanted = {"sdp": provide.sdp, "name": "bob", "iceServers": []}
                await peer_of(bob).set_answer(await page.evaluate(CONNECT, wanted))
                await until(lambda: bob.is_watching, within=15, what="bob watches")
                await page.evaluate(WATCH_GAPS, "bob")
                await asyncio.sleep(5)
                assert full(bob)
                await page.evaluate("window.bob.gaps = []")
                with slow_cable(home, 1500):
                    await until(lambda: not full(bob), within=5, what="a lower quality")
                    await asyncio.sleep(8)
                await until(lambda: full(bob), within=15, what="full quality again")
                longest = max(await page.evaluate("window.bob.gaps")) / 1000
            finally:
                for encoder in encoders:
                    encoder.cancel()
                await asyncio.wait(encoders)
    print(f"longest time without a new picture: {longest:.2f} s")
    assert longest < 1.5
