"""Stock aiortc as the server that `bench.latency` compares with, a process that is asked by JSON lines.

`{"do": "offer"}` -> `{"sdp"}`; `{"do": "answer", "sdp"}` -> `{}`; end of input ends it. Arguments: `packets`
(captured and encoded as ours are, passed through) or `pictures` (for aiortc's own encoder); the display's
name, its cookie file and its user. A message on the data channel presses (`1`) or releases (`0`) a key.
"""

from __future__ import annotations

import asyncio
import fractions
import json
import os
import sys
import threading
from pathlib import Path

import aioice.ice
import av
import structlog
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import h264

from bench._fanout_server import LivePackets, PacketTrack
from streamserver.desktop.account import lookup
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.xtest import KEY_PRESS, KEY_RELEASE, XTestDevices
from streamserver.webrtc.payloads import MAX_PAYLOAD

FPS, BITRATE = 60, 2_500_000
KEYCODE = 38
"""Some letter: the window takes any key."""

RENEWALS = (0.2, 0.6, 1.2, 2.0)
"""Seconds after which a key frame is asked for: the first may come before the browser can decrypt, and aiortc
tells a packet track nothing of what the browser asks for.
"""


class Screen:
    """The display's pictures as FFmpeg grabs them, 60 a second; a reader gets the newest."""

    def __init__(self, display: XDisplay) -> None:
        os.environ.update(display.environment())
        options = {"framerate": str(FPS), "video_size": "1280x720", "draw_mouse": "0"}
        self._container = av.open(display.name, format="x11grab", options=options)
        self._loop = asyncio.get_running_loop()
        self._newest: asyncio.Queue[av.VideoFrame] = asyncio.Queue(1)
        threading.Thread(target=self._grab, daemon=True).start()

    async def next(self) -> av.VideoFrame:
        """Wait for a picture that was not given yet."""
        return await self._newest.get()

    def _grab(self) -> None:
        for frame in self._container.decode(video=0):
            self._loop.call_soon_threadsafe(self._put, frame)

    def _put(self, frame: av.VideoFrame) -> None:
        if self._newest.full():
            self._newest.get_nowait()
        self._newest.put_nowait(frame)


class PictureTrack(MediaStreamTrack):
    """Pictures for aiortc to encode."""

    kind = "video"

    def __init__(self, display: XDisplay) -> None:
        super().__init__()
        self._screen = Screen(display)
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        """Return the newest picture."""
        frame = await self._screen.next()
        self._number += 1
        frame.pts, frame.time_base = self._number, fractions.Fraction(1, FPS)
        return frame


class Server:
    """One connection to one viewer."""

    def __init__(self, kind: str, display: XDisplay) -> None:
        def loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
            return ["127.0.0.1"]

        aioice.ice.get_host_addresses = loopback  # aioice leaves loopback out by itself
        h264.PACKET_MAX = MAX_PAYLOAD  # the same payloads and bitrate as ours
        h264.DEFAULT_BITRATE = BITRATE
        self._devices = XTestDevices(display.connect())
        self._packets = LivePackets(display, FPS) if kind == "packets" else None
        track = PacketTrack(self._packets) if self._packets else PictureTrack(display)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.createDataChannel("keys").on("message", self._press)
        transceiver = self._connection.addTransceiver(track, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])

    async def offer(self) -> str:
        """Return what the viewer is to answer."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def answer(self, sdp: str) -> None:
        """Take the viewer's answer."""
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        loop = asyncio.get_running_loop()
        if self._packets is not None:
            for seconds in RENEWALS:
                loop.call_later(seconds, self._packets.stream.request_keyframe)

    def _press(self, message: str) -> None:
        self._devices.fake(KEY_PRESS if message == "1" else KEY_RELEASE, KEYCODE)
        self._devices.flush()


async def serve(kind: str, display: XDisplay) -> None:
    """Answer requests until the input ends."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    server = Server(kind, display)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        request = json.loads(line)
        answer: dict[str, str] = {}
        if request["do"] == "offer":
            answer["sdp"] = await server.offer()
        else:
            await server.answer(request["sdp"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)  # the connection is simply dropped


if __name__ == "__main__":
    _, chosen, name, cookie, user = sys.argv
    asyncio.run(serve(chosen, XDisplay(name, Path(cookie), lookup(user))))
