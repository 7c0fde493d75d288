"""A real headless Chromium, Debian's, as a user and with its sandbox, as viewer."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.webrtc.room import Room, peer_of

VIEWER = "catnap"
LAUNCHER = """#!/bin/sh
HOME={home} exec {prefix} setpriv --reuid {user} --regid {user} --init-groups {browser} "$@"
"""

CONNECT = """async ({sdp, name, iceServers}) => {
    const pc = new RTCPeerConnection({iceServers});
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    const viewer = {pc, video, messages: [], tracks: [], candidates: [], started: performance.now(), first:
    null}; window[name] = viewer;
    video.requestVideoFrameCallback(() => { viewer.first = performance.now(); });
    pc.onicecandidate = ({candidate}) => candidate && viewer.candidates.push(candidate.toJSON());
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


@asynccontextmanager
async def open_page(prefix: Sequence[str] = ()) -> AsyncIterator[Page]:
    """Start the browser, with `prefix` before its command (root only), and give its first page."""
    browser = shutil.which("chromium")
    assert browser, "chromium is not installed: scripts/setup installs it"
    home = Path(tempfile.mkdtemp(prefix="catnap-viewer-"))
    try:
        home.chmod(0o755)
        profile = home / "profile"
        profile.mkdir()
        program = Path(browser)
        if os.geteuid() == 0:  # Chromium does not start as root with its sandbox
            account = pwd.getpwnam(VIEWER)
            os.chown(profile, account.pw_uid, account.pw_gid)
            program = home / "chromium"
            program.write_text(
                LAUNCHER.format(home=profile, prefix=" ".join(prefix), user=VIEWER, browser=browser)
            )
            program.chmod(0o755)
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile,
                executable_path=program,
                chromium_sandbox=True,
                headless=True,
                args=["--disable-gpu"],
            )
            yield context.pages[0]
            await context.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def watch(room: Room, page: Page, name: str) -> None:
    session = room.session(name)
    provide = await room.manager.create_peer(session, VideoRequest(), AudioRequest())
    servers = [server.model_dump(exclude_none=True) for server in provide.iceservers]
    wanted = {"sdp": provide.sdp, "name": name, "iceServers": servers}
    await peer_of(session).set_answer(await page.evaluate(CONNECT, wanted))
    deadline = time.monotonic() + 20
    while not session.is_watching:
        assert time.monotonic() < deadline, f"{name} does not watch"
        for candidate in await page.evaluate("name => window[name].candidates.splice(0)", name):
            peer_of(session).add_candidate(candidate)
        await asyncio.sleep(0.05)


async def look(page: Page, name: str, frames: int) -> dict[str, object]:
    await page.wait_for_function(
        """([name, frames]) => {
            const {first, messages, video} = window[name];
            return first && messages.length > 2 && video.getVideoPlaybackQuality().totalVideoFrames > frames;
        }""",
        arg=[name, frames],
        timeout=20_000,
    )
    seen: dict[str, object] = await page.evaluate(LOOK, name)
    return seen
