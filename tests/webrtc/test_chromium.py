"""A real headless Chromium, Debian's, as a user and with its sandbox, watches a synthetic stream.

The stream is encoded by PyAV in the test and stands in for capture; everything else on our side is real.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.waiting import until
from tests.webrtc.room import DARK, Room, open_room, peer_of

VIEWER = "catnap"
LAUNCHER = """#!/bin/sh
HOME={home} exec setpriv --reuid {user} --regid {user} --init-groups {browser} "$@"
"""

CONNECT = """async ({sdp, name}) => {
    const pc = new RTCPeerConnection();
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    const viewer = {pc, video, messages: [], tracks: [], started: performance.now(), first: null};
    window[name] = viewer;
    video.requestVideoFrameCallback(() => { viewer.first = performance.now(); });
    pc.ontrack = ({track, streams}) => {
        viewer.tracks.push([track.kind, streams[0].id]);
        if (track.kind === "video") { video.srcObject = streams[0]; video.play(); }
    };
    pc.ondatachannel = ({channel}) => {
        channel.binaryType = "arraybuffer";
        viewer.channel = channel;
        viewer.label = channel.label;
        channel.onmessage = ({data}) => viewer.messages.push([...new Uint8Array(data)]);
        const ping = new DataView(new ArrayBuffer(11));
        ping.setUint8(0, 7); ping.setUint16(1, 8); ping.setUint32(3, 123); ping.setUint32(7, 456);
        channel.onopen = () => channel.send(ping);
    };
    await pc.setRemoteDescription({type: "offer", sdp});
    await pc.setLocalDescription(await pc.createAnswer());
    return pc.localDescription.sdp;
}"""

LOOK = """async (name) => {
    const {pc, video, messages, tracks, label, started, first} = window[name];
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    let left = null, right = null;
    if (first !== null && canvas.width) {
        const context = canvas.getContext("2d");
        context.drawImage(video, 0, 0);
        left = [...context.getImageData(canvas.width >> 2, canvas.height >> 1, 1, 1).data];
        right = [...context.getImageData(3 * canvas.width >> 2, canvas.height >> 1, 1, 1).data];
    }
    const report = [...(await pc.getStats()).values()];
    const inbound = report.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video") || {};
    return {
        state: pc.connectionState, size: [canvas.width, canvas.height], left, right, messages, tracks, label,
        afterMs: first && first - started, frames: inbound.framesDecoded || 0, lost: inbound.packetsLost || 0,
        sound: (report.find((e) => e.type === "inbound-rtp" && e.kind === "audio") || {}).packetsReceived ||
        0, plis: inbound.pliCount || 0, keyFrames: inbound.keyFramesDecoded || 0,
    };
}"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    browser = shutil.which("chromium")
    assert browser, "chromium is not installed: scripts/setup installs it"
    home = Path(tempfile.mkdtemp(prefix="catnap-viewer-"))
    home.chmod(0o755)
    profile = home / "profile"
    profile.mkdir()
    program = Path(browser)
    if os.geteuid() == 0:  # Chromium does not start as root with its sandbox
        account = pwd.getpwnam(VIEWER)
        os.chown(profile, account.pw_uid, account.pw_gid)
        program = home / "chromium"
        program.write_text(LAUNCHER.format(home=profile, user=VIEWER, browser=browser))
        program.chmod(0o755)
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile, executable_path=program, chromium_sandbox=True, headless=True, args=["--disable-gpu"]
        )
        yield context.pages[0]
        await context.close()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with open_room(WebRTCSettings(udpmux=0, nat1to1=("127.0.0.1",))) as running:
        yield running


async def watch(room: Room, page: Page, name: str) -> None:
    session = room.session(name)
    provide = await room.manager.create_peer(session, VideoRequest(), AudioRequest())
    answer = await page.evaluate(CONNECT, {"sdp": provide.sdp, "name": name})
    await peer_of(session).set_answer(answer)
    await until(lambda: session.is_watching, within=15, what=f"{name} watches")


async def look(page: Page, name: str, frames: int) -> dict[str, object]:
    await page.wait_for_function(
        """([name, frames]) => {
            const {first, video} = window[name];
            return first && video.getVideoPlaybackQuality().totalVideoFrames > frames;
        }""",
        arg=[name, frames],
        timeout=20_000,
    )
    seen: dict[str, object] = await page.evaluate(LOOK, name)
    return seen


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
    video = room.video
    assert video.keyframe_requests == 0

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
    await until(lambda: not peer.connection._old_usernames, within=10, what="checks come with the new name")
    frames = seen["frames"]
    assert isinstance(frames, int)
    await look(page, "bob", frames + 20)
    assert session.is_watching
