"""One viewer's WebRTC connection."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from streamserver.logs import get_logger
from streamserver.sessions.model import Session

from . import aiortc_seam as seam
from .connection import ViewerConnection
from .consent import Freshness
from .control_channel import LABEL, ControlChannel
from .errors import SignalError
from .fan_out import FanOut
from .frame_sender import FrameSender
from .legacy_channel import LegacyChannel
from .session_description import (
    H264,
    OPUS,
    RTX,
    RemoteDescription,
    complete_answer,
    complete_offer,
    read_remote,
)
from .sight import SightSlot
from .signaling import AudioRequest, AudioStatus, VideoRequest, VideoStatus
from .statistics import MediaStatistics, statistics_of
from .surroundings import CaptureLike, DesktopLike
from .video_quality import VideoQuality
from .voice import VoiceSlot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = get_logger("webrtc")

CLOSE_TIMEOUT = 3.0
"""Seconds that aiortc gets to say goodbye; then the connection is cut."""


SOUND_AFTER = 0.05
"""Seconds that the first picture gets before sound begins."""

EXPECTED_FOR = 5.0
"""Seconds that the picture is captured for a viewer that does not connect."""

MEASURE_INTERVAL = 0.9
"""Seconds over which the bitrate is measured, at least; it is looked at once a second."""


class PeerState(enum.IntEnum):
    """The life of a peer, with the numbers of neko's metric.

    NEW -> CONNECTING -> CONNECTED <-> DISCONNECTED -> FAILED -> CLOSED; each may go to FAILED or CLOSED at
    once.
    """

    NEW = 0
    CLOSED = 1
    FAILED = 2
    DISCONNECTED = 3
    CONNECTING = 4
    CONNECTED = 5


class Peer:
    """The `MediaPeer` of a session: offer and answer, picture, sound, and its data channel.

    `bitrate`: of the picture, over the last second, bit/s.

    `changed(peer)` is called when the state is another one, `spawn` runs a coroutine that its owner awaits at
    the end.
    """

    def __init__(
        self,
        session: Session,
        capture: CaptureLike,
        desktop: DesktopLike,
        connection: ViewerConnection,
        fan_out: FanOut,
        *,
        video: VideoRequest,
        audio: AudioRequest,
        moved: Callable[[Session, int, int], None],
        changed: Callable[[Peer], None],
        spawn: Callable[[Awaitable[None]], object],
        follows_network: bool = True,
        may_send_legacy_input: Callable[[Session], bool] | None = None,
        voices: VoiceSlot | None = None,
        sights: SightSlot | None = None,
    ) -> None:
        """`may_send_legacy_input`: whether input over a channel of the viewer's own counts (neko's v2); None:
        such channels are closed.
        """
        self._may_send_legacy_input = may_send_legacy_input
        self._voices = voices
        self._sights = sights
        self.session = session
        self.state = PeerState.NEW
        self.bitrate = 0.0
        self._made_at = time.monotonic()
        self._measured_at = (self._made_at, 0)
        self._changed = changed
        self._spawn = spawn
        self._lock = asyncio.Lock()
        try:
            self.quality = VideoQuality(
                capture, video, follows_network=follows_network, changed=self._quality_changed
            )
        except SignalError:
            connection.shut()
            raise
        self.connection = connection
        stream = capture.videos[self.quality.video_id]
        self.video = FrameSender("video", stream, self.connection, fan_out)
        self.quality.attach(self.video)
        self.audio = FrameSender("audio", capture.audio, self.connection, fan_out)
        self.video.flow.set_disabled(bool(video.disabled))
        self.audio.flow.set_disabled(bool(audio.disabled))
        self.connection.on_path_change = self._path_changed
        self.connection.on_delivery = self._delivered
        self._pc = self._build_connection()
        self.channel = ControlChannel(self._pc.createDataChannel(LABEL), session, desktop, moved)
        seam.attach(self._pc, self.connection)
        self._dtls = seam.dtls_transport(self._pc)
        self._pc.on("connectionstatechange", self._connection_changed)
        self._legacy: LegacyChannel | None = None
        self._pc.on("datachannel", lambda channel: self._take_channel(channel, desktop, moved))

    # MediaPeer

    def set_paused(self, paused: bool) -> None:
        """Stop or go on sending picture and sound; the connection stays."""
        self.video.flow.set_paused(paused)
        self.audio.flow.set_paused(paused)

    def close(self, reason: str) -> None:
        """End it: capture stops at once, the goodbyes run in the background for `CLOSE_TIMEOUT` at most."""
        if self.state is PeerState.CLOSED:
            return
        log.info("viewer's WebRTC connection closed", session_id=self.session.id, reason=reason)
        self._set_state(PeerState.CLOSED)
        self.video.stop()
        self.audio.stop()
        self._spawn(self._tear_down())

    # signalling

    async def offer(self) -> str:
        """Make the first offer, with our candidates in it, and begin to capture."""
        async with self._signalling():
            offer = await self._make_offer()
        self.video.flow.set_expected(True)
        return offer

    async def set_answer(self, sdp: str) -> None:
        """Take the viewer's answer.

        Raises:
            SignalError: it cannot be used.
        """
        remote = read_remote(sdp, is_answer=True)
        async with self._signalling():
            if self._pc.signalingState != "have-local-offer":
                raise SignalError("an answer came, but no offer is open")
            self._take_remote(remote)
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
            if self.state is PeerState.NEW:
                self._set_state(PeerState.CONNECTING)

    async def handle_offer(self, sdp: str) -> str:
        """Take an offer of the viewer's and return our answer. We send what we sent before and receive
        nothing but the sound and camera of one who may share them.

        Raises:
            SignalError: it cannot be used, or an offer of ours is open.
        """
        remote = read_remote(sdp, is_answer=False)
        async with self._signalling():
            if self._pc.remoteDescription is None or self._pc.signalingState != "stable":
                raise SignalError("an offer came while ours is open: answer that first")
            ours = {transceiver: _receives(transceiver) for transceiver in self._pc.getTransceivers()}
            hears = self._voices is not None and self._voices.may_speak(self.session)
            sees = self._sights is not None and self._sights.may_show(self.session)
            wanted = {"audio": hears, "video": sees}
            self.connection.takes_sound, self.connection.takes_pictures = hears, sees
            for transceiver in ours:
                if not transceiver.stopped:
                    transceiver.direction = "sendrecv" if wanted[transceiver.kind] else "sendonly"
            restarted = remote.ice_username != self.connection.remote_username
            self._take_remote(remote)
            if restarted:  # both sides must take new credentials: RFC 8445 §9
                self.connection.restart()
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            for transceiver in self._pc.getTransceivers():
                if transceiver not in ours and not wanted[transceiver.kind]:
                    transceiver.direction = "inactive"  # else aiortc would start to decode what comes
            answer = await self._pc.createAnswer()
            await self._pc.setLocalDescription(RTCSessionDescription(complete_answer(answer.sdp), "answer"))
            for transceiver in self._pc.getTransceivers():
                if _receives(transceiver) and not ours.get(transceiver):
                    self._take_track(transceiver.receiver.track)
            return complete_answer(self._pc.localDescription.sdp)

    async def restart(self) -> str:
        """Begin an ICE restart: return an offer with new credentials. Media goes on meanwhile.

        While an offer of ours is not answered it is that one again: two would leave it open which one an
        answer is for, and whose credentials count.
        """
        async with self._signalling():
            if self._pc.signalingState not in ("stable", "have-local-offer"):
                raise SignalError("an ICE restart is not possible while an offer of yours is open")
            if self._pc.signalingState == "have-local-offer":
                return str(self._pc.localDescription.sdp)
            self.connection.restart()
            return await self._make_offer()

    def add_candidate(self, init: dict[str, object]) -> None:
        """Take one of the viewer's addresses (RTCIceCandidateInit); with ICE-lite it does not matter.

        Raises:
            SignalError: it cannot be read.
        """
        self.connection.add_candidate(str(init.get("candidate") or ""))

    # what is sent

    @property
    def video_status(self) -> VideoStatus:
        """What the viewer gets of the picture."""
        return self.quality.status

    @property
    def audio_status(self) -> AudioStatus:
        """What the viewer gets of the sound."""
        return AudioStatus(disabled=self.audio.flow.disabled)

    def set_video(self, request: VideoRequest) -> VideoStatus | None:
        """Turn the picture on or off, or choose another stream; None if nothing changed."""
        before = self.video_status
        self.quality.request(request)
        after = self.video_status
        return after if after != before else None

    def set_audio(self, request: AudioRequest) -> AudioStatus | None:
        """Turn the sound on or off; None if nothing changed."""
        before = self.audio_status
        if request.disabled is not None:
            self.audio.flow.set_disabled(request.disabled)
        after = self.audio_status
        return after if after != before else None

    def _quality_changed(self, status: VideoStatus) -> None:
        log.info("the network changed a viewer's picture", session_id=self.session.id, video=status.id)
        self.session.send("signal/video", status.model_dump(mode="json"))

    def statistics(self) -> MediaStatistics:
        """Return what the viewer's connection is like now."""
        return statistics_of(self)

    def _measure(self, now: float) -> None:
        """Note what was sent since the last time, once a second."""
        before, octets = self._measured_at, self.video.observe().octets
        if now - before[0] >= MEASURE_INTERVAL:
            self.bitrate = (octets - before[1]) * 8 / (now - before[0])
            self._measured_at = (now, octets)

    # consent

    @property
    def alive(self) -> bool:
        """Whether the viewer was heard of in the last seconds."""
        return self.state is PeerState.CONNECTED and self.connection.freshness() is Freshness.FRESH

    def look(self, now: float) -> None:
        """Judge the viewer's silence until `now` (`time.monotonic`), and its manners; called each second."""
        if (abuse := seam.abuse(self._pc)) is not None:
            self.close(abuse)
            return
        self.quality.look()
        self._measure(now)
        if now - self._made_at > EXPECTED_FOR:
            self.video.flow.set_expected(False)
        freshness = self.connection.freshness(now)
        if freshness is Freshness.EXPIRED:
            if self.state is not PeerState.CLOSED:
                self._set_state(PeerState.FAILED)
            self.close("no sign of the viewer")
        elif self.state is PeerState.CONNECTED and freshness is Freshness.STALE:
            self._set_state(PeerState.DISCONNECTED)
        elif self.state is PeerState.DISCONNECTED and freshness is Freshness.FRESH:
            self._set_state(PeerState.CONNECTED)

    # inside

    def _build_connection(self) -> RTCPeerConnection:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        for sender, codecs in ((self.audio, [OPUS]), (self.video, [H264, RTX])):
            transceiver = pc.addTransceiver(sender.kind, direction="sendonly")
            transceiver.setCodecPreferences(codecs)
            seam.take_over(transceiver.sender, sender)
        return pc

    async def _make_offer(self) -> str:
        offer = await self._pc.createOffer()
        await self._pc.setLocalDescription(RTCSessionDescription(complete_offer(offer.sdp), "offer"))
        return str(self._pc.localDescription.sdp)

    def _take_remote(self, remote: RemoteDescription) -> None:
        self.connection.remote_username = remote.ice_username
        self.connection.remote_password = remote.ice_password
        if remote.playout_delay_id is not None and self.state is PeerState.NEW:
            self.video.playout_delay_id = remote.playout_delay_id

    @asynccontextmanager
    async def _signalling(self) -> AsyncIterator[None]:
        """One exchange at a time; whatever aiortc finds wrong with a description is the viewer's error."""
        async with self._lock:
            if self.state is PeerState.CLOSED:
                raise SignalError("the WebRTC connection is closed")
            try:
                yield
            except SignalError:
                raise
            except Exception as error:  # aiortc meets unusable descriptions with exceptions of many kinds
                text = str(error) or type(error).__name__
                raise SignalError(f"the session description cannot be used: {text[:200]}") from error

    def _delivered(self, first_byte: int) -> None:
        """Start picture and sound with the first packet after DTLS is up: it shows that the viewer can
        decrypt.

        A key frame that is sent before is lost, and a viewer that has seen no packet does not ask for
        another.
        """
        if first_byte in (20, 21, 22) or not seam.dtls_is_up(self._dtls):  # 20 to 22: the handshake itself
            return
        self.connection.on_delivery = None
        self.video.flow.set_ready()
        # The first listener's sound keeps the loop busy for some ms, in which the first picture would wait.
        asyncio.get_running_loop().call_later(SOUND_AFTER, self.audio.flow.set_ready)

    def _path_changed(self) -> None:
        # What was under way to the old address is lost; without a key frame the picture stands still for 3 s.
        log.info("viewer changed its address", session_id=self.session.id)
        self.video.flow.request_keyframe()

    def _take_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._voices is not None:
            self._voices.take(self.session, track)
        if track.kind == "video" and self._sights is not None:
            self._sights.take(self.session, track)

    def _take_channel(
        self, channel: RTCDataChannel, desktop: DesktopLike, moved: Callable[[Session, int, int], None]
    ) -> None:
        """Listen to the one channel a version 2 client makes; any other is closed."""
        if self._may_send_legacy_input is None or self._legacy is not None:
            channel.close()
            return
        self._legacy = LegacyChannel(channel, self.session, desktop, self._may_send_legacy_input, moved)

    def _connection_changed(self) -> None:
        state = self._pc.connectionState
        if self.state is PeerState.CLOSED:
            return
        if state == "connected":
            self._set_state(PeerState.CONNECTED)
        elif state == "failed":
            self._set_state(PeerState.FAILED)
            self.close("the connection failed")
        elif state == "closed":
            self.close("closed by the viewer")

    def _set_state(self, state: PeerState) -> None:
        if state is not self.state:
            self.state = state
            self._changed(self)

    async def _tear_down(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pc.close()
        except TimeoutError:
            log.warning("a WebRTC connection did not close in time and was cut", session_id=self.session.id)
        except Exception as error:  # noqa: BLE001 whatever aiortc stumbles over, this viewer is gone
            log.debug("closing a WebRTC connection failed", session_id=self.session.id, error=repr(error))
        finally:
            self.connection.shut()
            failure = seam.collect_failure(self._dtls)
            if failure is not None and not isinstance(failure, ConnectionError):
                log.debug("a viewer's packets made its transport fail", error=repr(failure))


def _receives(transceiver: RTCRtpTransceiver) -> bool:
    """Whether something comes from the viewer by what was agreed upon."""
    return transceiver.currentDirection in ("sendrecv", "recvonly")
