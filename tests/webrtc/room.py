"""A server's media side with stand-ins for capture and desktop, and aiortc's own client as viewer.

The sessions, the manager, the peers and the sockets are the real ones. The picture comes from a real H.264
encoder (PyAV) that stands in for capture; the sound from a real Opus encoder.
"""

from __future__ import annotations

import asyncio
import fractions
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import av
import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.clock import current_ntp_time
from prometheus_client import CollectorRegistry

from streamserver.capture.frames import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.stream import FrameListener, MediaKind, MediaStream
from streamserver.config.media_settings import WebRTCSettings
from streamserver.config.settings import SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.signals import Signal
from streamserver.webrtc.data_channel import ControlMessage, encode_client_message
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.manager import WebRTCManager
from streamserver.webrtc.peer import Peer
from streamserver.webrtc.signaling import AudioRequest, Provide, VideoRequest
from streamserver.webrtc.surroundings import CursorImageLike
from tests.stand_ins import TouchStandIn
from tests.waiting import until
from tests.webrtc.received_media import ReceivedMedia

FRAME_RATE = 30
DARK, BRIGHT = 60, 180
"""Luma of the two halves of the synthetic picture, of 16 (black) to 235 (white)."""


class Place:
    """A listener's place on a `HandStream`."""

    def __init__(self, stream: HandStream, listener: FrameListener) -> None:
        self.listener = listener
        self._stream = stream
        stream.places.append(self)
        stream.subscriptions += 1

    def close(self) -> None:
        if self in self._stream.places:
            self._stream.places.remove(self)


class HandStream:
    """A stream whose frames the test delivers itself."""

    def __init__(
        self,
        stream_id: str = "main",
        kind: MediaKind = "video",
        codec: str = "h264",
        *,
        bitrate: int = 2_500_000,
    ) -> None:
        self.id = stream_id
        self.kind = kind
        self.codec = codec
        self.bitrate = bitrate
        self.places: list[Place] = []
        self.subscriptions = 0
        self.keyframe_requests = 0
        self.wants_keyframe = True

    def subscribe(self, listener: FrameListener) -> Place:
        self.wants_keyframe = True
        return Place(self, listener)

    def request_keyframe(self) -> None:
        self.keyframe_requests += 1
        self.wants_keyframe = True

    def deliver(self, frame: EncodedFrame) -> None:
        for place in tuple(self.places):
            place.listener(frame)


class SyntheticVideo(HandStream):
    """A picture, dark on the left and ever brighter on the right, encoded as capture does it.

    `age`: seconds before its sending that a frame was captured. `noise`: show some in the upper part, so that
    frames have many packets.
    """

    def __init__(
        self, width: int = 320, height: int = 240, stream_id: str = "main", bitrate: int = 2_500_000
    ) -> None:
        super().__init__(stream_id, bitrate=bitrate)
        self.age = 0.0
        self.noise = False
        self._size = (width, height)
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = width, height
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = fractions.Fraction(1, FRAME_RATE)
        encoder.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "x264-params": "keyint=infinite",
        }
        self._encoder = encoder

    async def run(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(1 / FRAME_RATE)
            if not self.places:
                continue
            for packet in self._encode(number):
                now = time.monotonic()
                rtp_time = int(now * VIDEO_CLOCK_RATE) & 0xFFFFFFFF
                self.deliver(EncodedFrame(bytes(packet), packet.is_keyframe, rtp_time, now - self.age))
            number += 1

    def _encode(self, number: int) -> list[av.Packet[av.VideoStream]]:
        width, height = self._size
        picture = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
        picture[:height, : width // 2] = DARK
        picture[:height, width // 2 :] = BRIGHT + number % 32
        if self.noise:
            picture[: height // 4] = np.random.randint(16, 235, (height // 4, width), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        if self.wants_keyframe:
            frame.pict_type = av.video.frame.PictureType.I
            self.wants_keyframe = False
        return self._encoder.encode(frame)


class SyntheticAudio(HandStream):
    """Silence as Opus packets, 20 ms each; runs while somebody listens."""

    def __init__(self) -> None:
        super().__init__("audio", "audio", "opus")

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            rtp_time = int(now * AUDIO_CLOCK_RATE) & 0xFFFFFFFF
            self.deliver(EncodedFrame(b"\xf8\xff\xfe", True, rtp_time, now))


@dataclass
class RecordingInput:
    """Mouse and keyboard that only write down what is done with them."""

    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def move(self, x: int, y: int) -> None:
        self.calls.append(("move", (x, y)))

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        self.calls.append(("scroll", (dx, dy, control_key)))

    def button_down(self, code: int) -> None:
        self.calls.append(("button_down", (code,)))

    def button_up(self, code: int) -> None:
        self.calls.append(("button_up", (code,)))

    def key_down(self, keysym: int) -> None:
        self.calls.append(("key_down", (keysym,)))

    def key_up(self, keysym: int) -> None:
        self.calls.append(("key_up", (keysym,)))


@dataclass(frozen=True)
class Arrow:
    """A look of the pointer."""

    width: int = 16
    height: int = 24
    hotspot_x: int = 1
    hotspot_y: int = 2
    png: bytes = b"\x89PNG arrow"


class DeskStandIn:
    """A desktop without a display."""

    def __init__(self) -> None:
        self.input = RecordingInput()
        self.touch = TouchStandIn()
        self.cursor_image: CursorImageLike | None = Arrow()
        self.on_cursor_image: Signal[[CursorImageLike]] = Signal("cursor image")

    def cursor_position(self) -> tuple[int, int]:
        return 30, 40

    def change_cursor(self, image: CursorImageLike) -> None:
        self.cursor_image = image
        self.on_cursor_image.emit(image)


@dataclass
class CaptureStandIn:
    videos: dict[str, MediaStream]
    audio: MediaStream | None

    @property
    def video_ids(self) -> list[str]:
        return list(self.videos)


class Room:
    """The media side of a server, running."""

    def __init__(self, settings: WebRTCSettings, videos: Sequence[HandStream], sound: HandStream) -> None:
        self.video = videos[0]
        self.sound = sound
        capture = CaptureStandIn({video.id: video for video in videos}, sound)
        self.desk = DeskStandIn()
        self.registry = CollectorRegistry()
        self.sessions = SessionManager(SessionSettings())
        self.manager = WebRTCManager(settings, capture, self.sessions, self.desk, self.registry)

    def session(self, name: str, *, is_admin: bool = False) -> Session:
        profile = MemberProfile(
            name=name, is_admin=is_admin, can_login=True, can_connect=True, can_watch=True, can_host=True
        )
        return self.sessions.create(name, profile)[0]

    async def viewer(
        self, session: Session, *, video: VideoRequest | None = None, without: tuple[str, ...] = ()
    ) -> Viewer:
        """Connect aiortc's client, which does not know the payload types in `without`, and wait for its data
        channel.
        """
        provide = await self.manager.create_peer(session, video or VideoRequest(), AudioRequest())
        viewer = Viewer(session, provide)
        await viewer.answer(provide.sdp, without)
        await until(lambda: viewer.channel is not None, within=10, what="the data channel is open")
        return viewer

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def open_room(
    settings: WebRTCSettings | None = None, *videos: HandStream, sound: HandStream | None = None
) -> AsyncIterator[Room]:
    """Run a room; sound and picture of the test's own making it must bring to life itself."""
    pictures = videos or (SyntheticVideo(),)
    silence = SyntheticAudio()
    room = Room(settings or WebRTCSettings(udpmux=0), pictures, sound or silence)
    await room.manager.start()
    sources = [asyncio.create_task(silence.run())]
    sources += [asyncio.create_task(one.run()) for one in pictures if isinstance(one, SyntheticVideo)]
    try:
        yield room
    finally:
        await room.manager.stop()
        for source in sources:
            source.cancel()
        await asyncio.wait(sources)


def peer_of(session: Session) -> Peer:
    assert isinstance(session.media, Peer)
    return session.media


def lite(session: Session) -> LiteConnection:
    """The session's connection on the shared ports."""
    connection = peer_of(session).connection
    assert isinstance(connection, LiteConnection)
    return connection


class Viewer(ReceivedMedia):
    """aiortc's client: what it decoded, what came on the data channel, each decrypted RTP and RTCP packet,
    and of each SSRC the latest packet with the time it came (s of NTP).
    """

    def __init__(self, session: Session, provide: Provide) -> None:
        super().__init__()
        self.session = session
        self.provide = provide
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages: list[bytes] = []
        self.channel: RTCDataChannel | None = None
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.latest: dict[int, tuple[bytes, float]] = {}
        self.lose: Callable[[bytes], bool] = lambda _packet: False
        self.pc.on("track", self.take)
        self.pc.on("datachannel", self._datachannel)

    @property
    def peer(self) -> Peer:
        return peer_of(self.session)

    async def answer(self, offer: str, without: tuple[str, ...] = ()) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._watch_packets()
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        sdp = self.pc.localDescription.sdp
        for payload_type in without:
            sdp = re.sub(rf"(?m)^(m=.*?) {payload_type}\b", r"\1", sdp)
            sdp = re.sub(rf"(?m)^a=(rtpmap|fmtp|rtcp-fb):{payload_type} .*\r\n", "", sdp)
        await self.peer.set_answer(sdp)

    def send(self, message: ControlMessage) -> None:
        assert self.channel is not None
        self.channel.send(encode_client_message(message))

    async def close(self) -> None:
        await self.pc.close()
        await self.stop_reading()

    def _datachannel(self, channel: RTCDataChannel) -> None:
        self.channel = channel
        channel.on("message", self.messages.append)

    def _watch_packets(self) -> None:
        """Look at decrypted packets where aiortc takes them; `lose` makes the network lose encrypted ones."""
        dtls = self.pc.getTransceivers()[0].receiver.transport
        handle_rtp, handle_rtcp, receive = dtls._handle_rtp_data, dtls._handle_rtcp_data, dtls.transport._recv

        async def lossy() -> bytes:
            while self.lose(data := await receive()):
                pass
            return data

        async def rtp(data: bytes, arrival_time_ms: int) -> None:
            self.rtp.append(data)
            arrived = current_ntp_time() / 2**32
            self.latest[int.from_bytes(data[8:12], "big")] = (data, arrived)
            await handle_rtp(data, arrival_time_ms)

        async def rtcp(data: bytes) -> None:
            self.rtcp.append(data)
            await handle_rtcp(data)

        object.__setattr__(dtls.transport, "_recv", lossy)
        object.__setattr__(dtls, "_handle_rtp_data", rtp)
        object.__setattr__(dtls, "_handle_rtcp_data", rtcp)
