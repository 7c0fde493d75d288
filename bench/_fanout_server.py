"""The servers that `bench.fanout` and `bench.live` compare, each a process that is asked by JSON lines.

`{"do": "offer", "viewer": NAME}` -> `{"sdp"}`; `{"do": "answer", "viewer": NAME, "sdp"}` -> `{}`;
`{"do": "cpu"}` -> `{"seconds"}`; `{"do": "lag"}` -> `{"p50", "p95", "p99"}` of the event loop's lag since
the last such question, ms; end of input ends it. With the name of an X display as second argument it captures
and encodes that, else it plays pictures encoded before.
"""

from __future__ import annotations

import asyncio
import ctypes
import fractions
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Protocol

import aioice.ice
import av
import numpy as np
import structlog
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import h264
from av.stream import Stream
from prometheus_client import CollectorRegistry

from streamserver.capture.capture import Capture
from streamserver.capture.frames import VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.stream import FrameListener, MediaKind, MediaStream
from streamserver.config.media_settings import CaptureSettings, VideoSettings, WebRTCSettings
from streamserver.config.settings import SessionSettings
from streamserver.desktop.x11 import XDisplay
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.signals import Signal
from streamserver.webrtc.manager import WebRTCManager
from streamserver.webrtc.payloads import MAX_PAYLOAD
from streamserver.webrtc.peer import Peer
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from streamserver.webrtc.surroundings import CursorImageLike

WIDTH, HEIGHT, FPS, BITRATE = 1280, 720, 30, 2_500_000
LOOP_FRAMES = 120
NOISE_SEED = 7
PIXELS_PER_FRAME = 4
GRAIN = 40
"""Of 255: what changes everywhere from picture to picture, so that each costs its share of bits."""


@cache
def pictures() -> list[av.VideoFrame]:
    """Return four seconds of a scrolling, grainy page of blocks, as the encoders get them."""
    random = np.random.default_rng(NOISE_SEED)
    blocks = random.integers(40, 220, (HEIGHT // 16, WIDTH // 8), dtype=np.uint8)
    page = np.kron(blocks, np.ones((16, 8), dtype=np.uint8))
    page += random.integers(0, 8, page.shape, dtype=np.uint8)
    frames = []
    for number in range(LOOP_FRAMES):
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, dtype=np.uint8)
        picture[:HEIGHT] = np.roll(page, number * PIXELS_PER_FRAME, axis=0)
        picture[:HEIGHT] += random.integers(0, GRAIN, page.shape, dtype=np.uint8)
        frames.append(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
    return frames


def encoded() -> list[tuple[bytes, bool]]:
    """Return these pictures as H.264 of the bitrate, beginning with a key frame, as access units."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = fractions.Fraction(1, FPS)
    encoder.framerate = fractions.Fraction(FPS, 1)
    encoder.bit_rate, encoder.thread_count = BITRATE, 1
    rate = BITRATE // 1000
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "x264-params": f"keyint=infinite:sliced-threads=0:vbv-maxrate={rate}:vbv-bufsize={rate // 4}",
    }
    units = []
    for number, picture in enumerate(pictures()):
        picture.pts = number
        units += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return units


class Backend(Protocol):
    """One of the two ways to serve viewers."""

    async def offer(self, viewer: str) -> str:
        """Make a connection for a viewer."""

    async def answer(self, viewer: str, sdp: str) -> None:
        """Take the viewer's answer."""


class LoopedStream:
    """A video stream that plays the encoded pictures again and again; `packet` is the latest as aiortc takes
    it.
    """

    id = "main"
    kind: MediaKind = "video"
    codec = "h264"
    bitrate = BITRATE

    def __init__(self) -> None:
        self._units = encoded()
        self._listeners: list[FrameListener] = []
        self.packet: av.Packet[Stream] = av.Packet(b"")
        self._task = asyncio.ensure_future(self._play())

    def subscribe(self, listener: FrameListener) -> Place:
        """Let the listener begin with the next key frame."""
        self._listeners.append(listener)
        return Place(self._listeners, listener)

    def request_keyframe(self) -> None:
        """Ignore it: the next one comes with the next round."""

    async def _play(self) -> None:
        began = due = time.monotonic()
        number = 0
        while True:
            due += 1 / FPS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            data, keyframe = self._units[number % len(self._units)]
            number += 1
            now = time.monotonic()
            frame = EncodedFrame(data, keyframe, int((now - began) * VIDEO_CLOCK_RATE) & 0xFFFFFFFF, now)
            self.packet = av.Packet(data)
            self.packet.pts = frame.rtp_time
            self.packet.time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE)
            self.packet.is_keyframe = keyframe
            for listener in tuple(self._listeners):
                listener(frame)


class LivePackets:
    """The picture of a display, captured and encoded; `packet` is the latest as aiortc takes it."""

    def __init__(self, display: XDisplay, fps: int = FPS) -> None:
        settings = CaptureSettings(video=VideoSettings(ids=("main",), fps=fps))
        self._capture = Capture(settings, display, None, CollectorRegistry())
        self.stream = self._capture.videos["main"]
        self.packet: av.Packet[Stream] = av.Packet(b"")

    def subscribe(self, listener: FrameListener) -> object:
        """Let the listener begin with a key frame."""

        def deliver(frame: EncodedFrame) -> None:
            self.packet = av.Packet(frame.data)
            self.packet.pts = frame.rtp_time
            self.packet.time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE)
            self.packet.is_keyframe = frame.keyframe
            listener(frame)

        return self.stream.subscribe(deliver)


class LoopLag:
    """How long what arrives waits for the event loop.

    A timer of the kernel's (timerfd_create(2)) stands for a datagram, 140 times a second: asyncio's own
    timers are rounded up to whole milliseconds, which would be most of the figure. What comes while the
    loop is held counts as much as what comes else.
    """

    INTERVAL = 0.0071  # it meets pictures that come 30 times a second in any phase
    _NONBLOCKING, _ABSOLUTE = 0o4000, 1

    def __init__(self) -> None:
        self._late: list[float] = []
        self._due = time.monotonic() + self.INTERVAL
        libc = ctypes.CDLL(None, use_errno=True)
        self._timer = libc.timerfd_create(time.CLOCK_MONOTONIC, self._NONBLOCKING)
        interval, first = round(self.INTERVAL * 1e9), round(self._due * 1e9)
        times = (ctypes.c_long * 4)(0, interval, *divmod(first, 10**9))
        if self._timer < 0 or libc.timerfd_settime(self._timer, self._ABSOLUTE, times, None):
            raise OSError(ctypes.get_errno(), "the kernel gives no timer")
        asyncio.get_running_loop().add_reader(self._timer, self._note)

    def take(self) -> dict[str, str]:
        """Return percentiles since the last time, ms."""
        late, self._late = sorted(self._late) or [0.0], []
        return {
            name: str(round(late[int(len(late) * share)] * 1000, 3))
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }

    def _note(self) -> None:
        now, expired = time.monotonic(), int.from_bytes(os.read(self._timer, 8), sys.byteorder)
        for _ in range(expired):
            self._late.append(now - self._due)
            self._due += self.INTERVAL


class Place:
    """A listener's place on a `LoopedStream`."""

    def __init__(self, listeners: list[FrameListener], listener: FrameListener) -> None:
        self._listeners = listeners
        self._listener = listener

    def close(self) -> None:
        """Stop listening."""
        if self._listener in self._listeners:
            self._listeners.remove(self._listener)


class NoInput:
    """A desktop that nobody moves: the bench sends no input."""

    cursor_image: CursorImageLike | None = None

    def __init__(self) -> None:
        self.input = self.touch = self
        self.on_cursor_image: Signal[[CursorImageLike]] = Signal("cursor image")

    def cursor_position(self) -> tuple[int, int]:
        """Return a corner."""
        return 0, 0

    def move(self, x: int, y: int) -> None:
        """Ignore it."""

    def begin(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Ignore it."""

    def update(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Ignore it."""

    def end(self, finger: int, x: int = 0, y: int = 0, /) -> None:
        """Ignore it."""

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        """Ignore it."""

    def button_down(self, code: int) -> None:
        """Ignore it."""

    def button_up(self, code: int) -> None:
        """Ignore it."""

    def key_down(self, keysym: int) -> None:
        """Ignore it."""

    def key_up(self, keysym: int) -> None:
        """Ignore it."""


class Streams:
    """The one stream, without sound."""

    def __init__(self, stream: MediaStream) -> None:
        self.videos = {stream.id: stream}
        self.video_ids = (stream.id,)
        self.audio: MediaStream | None = None


class Ours:
    """The real sessions, manager and peers."""

    def __init__(self, stream: MediaStream) -> None:
        self._sessions = SessionManager(SessionSettings())
        settings = WebRTCSettings(udpmux=0, nat1to1=("127.0.0.1",))
        streams = Streams(stream)
        self._manager = WebRTCManager(settings, streams, self._sessions, NoInput(), CollectorRegistry())
        self._peers: dict[str, Peer] = {}

    async def offer(self, viewer: str) -> str:
        """Make a session and its peer."""
        if not self._manager.port:
            await self._manager.start()
        profile = MemberProfile(name=viewer, can_login=True, can_connect=True, can_watch=True)
        session, _ = self._sessions.create(viewer, profile)
        provide = await self._manager.create_peer(session, VideoRequest(), AudioRequest(disabled=True))
        assert isinstance(session.media, Peer)
        self._peers[viewer] = session.media
        return provide.sdp

    async def answer(self, viewer: str, sdp: str) -> None:
        """Take the viewer's answer."""
        await self._peers[viewer].set_answer(sdp)


class PictureTrack(MediaStreamTrack):
    """Pictures for aiortc to encode, 30 a second."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._began = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """Return the next picture when it is due."""
        self._number += 1
        await asyncio.sleep(max(0.0, self._began + self._number / FPS - time.monotonic()))
        frame = pictures()[self._number % LOOP_FRAMES]
        frame.pts = self._number
        frame.time_base = fractions.Fraction(1, FPS)
        return frame


class PacketTrack(MediaStreamTrack):
    """A stream's frames for aiortc to pass through: it packetises each anew for its one viewer."""

    kind = "video"

    def __init__(self, stream: LoopedStream | LivePackets) -> None:
        super().__init__()
        self._frames: asyncio.Queue[av.Packet[Stream]] = asyncio.Queue()
        self._stream = stream
        self._begun = False

    async def recv(self) -> av.Packet[Stream]:
        """Return the next frame; the first is a key frame."""
        if not self._begun:
            self._begun = True
            self._stream.subscribe(self._deliver)
        return await self._frames.get()

    def _deliver(self, frame: EncodedFrame) -> None:
        packet = self._stream.packet
        if packet.is_keyframe or self._waited:
            self._waited = True
            self._frames.put_nowait(packet)

    _waited = False


class Stock:
    """Stock aiortc for the baselines; `track()` makes what a viewer is sent."""

    def __init__(self, track: Callable[[], MediaStreamTrack]) -> None:
        def loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
            return ["127.0.0.1"]

        aioice.ice.get_host_addresses = loopback  # aioice leaves loopback out by itself
        self._connections: dict[str, RTCPeerConnection] = {}
        self._track = track

    async def offer(self, viewer: str) -> str:
        """Make a connection whose video is H.264."""
        pc = self._connections[viewer] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = pc.addTransceiver(self._track(), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        await pc.setLocalDescription(await pc.createOffer())
        return str(pc.localDescription.sdp)

    async def answer(self, viewer: str, sdp: str) -> None:
        """Take the viewer's answer."""
        await self._connections[viewer].setRemoteDescription(RTCSessionDescription(sdp, "answer"))


def make_backend(kind: str, display: str | None) -> Backend:
    """Return the server of that name."""
    if kind == "ours":
        return Ours(LivePackets(XDisplay(display, None, None)).stream if display else LoopedStream())
    h264.PACKET_MAX = MAX_PAYLOAD  # payloads of the same size on all sides
    if kind == "pass_through":
        stream = LivePackets(XDisplay(display, None, None)) if display else LoopedStream()
        return Stock(lambda: PacketTrack(stream))
    pictures()
    return Stock(PictureTrack)


async def serve(kind: str, display: str | None) -> None:
    """Answer requests until the input ends."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    backend = make_backend(kind, display)
    gc.freeze()  # as `catnap serve` does once it runs
    lag: LoopLag | None = None
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        request = json.loads(line)
        answer: dict[str, str] = {}
        if request["do"] == "offer":
            answer["sdp"] = await backend.offer(request["viewer"])
        elif request["do"] == "answer":
            await backend.answer(request["viewer"], request["sdp"])
        elif request["do"] == "lag":  # measured only where it is asked for: it costs
            answer = lag.take() if lag is not None else {}
            lag = lag or LoopLag()
        else:
            answer["seconds"] = str(time.process_time())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)  # connections are simply dropped


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
