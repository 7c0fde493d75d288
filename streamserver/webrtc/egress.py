"""The room's picture and sound to a media server that takes WHIP, for an audience larger than one
machine's."""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamserver.logs import get_logger

from . import aiortc_seam as seam
from . import whip
from .connection import ViewerConnection
from .errors import WebRTCError
from .fan_out import FanOut
from .frame_sender import FrameSender
from .session_description import H264, OPUS, RTX, complete_offer, read_remote
from .surroundings import CaptureLike
from .whip import WhipError

log = get_logger("webrtc")

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between an end and the next attempt; doubled at each failure."""

STABLE_AFTER = 60.0
"""Seconds of publishing after which earlier failures are forgotten."""

CONNECT_TIMEOUT = 20.0
"""Seconds from the answer until media can flow."""

CLOSE_TIMEOUT = 3.0
"""Seconds for the goodbyes."""

SECOND_KEYFRAME = 0.5
"""Seconds after which a second key frame is asked for: the first may have come before the server's keys."""

OUTLIVED_STOP = 15.0
"""Seconds of a stop of ours after which no server is believed to have waited."""


class EgressError(WebRTCError):
    """It cannot be started; the message says why."""


class EgressState(enum.StrEnum):
    """OFF -> CONNECTING -> PUBLISHING -> WAITING -> CONNECTING; any -> OFF."""

    OFF = "off"
    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class EgressStatus:
    """How it goes. `error`: why the last attempt ended, empty if none did; `connections`: attempts since the
    start; `bytes_sent`, `round_trip` (seconds), `fraction_lost` (0 to 1): of the present connection.
    """

    state: EgressState
    url: str
    error: str
    connections: int
    bytes_sent: int
    round_trip: float | None
    fraction_lost: float


class Egress:
    """Publishes picture and sound to one endpoint, and again when the connection ends.

    Used on the event loop only.
    """

    def __init__(
        self, capture: CaptureLike, fan_out: FanOut, new_connection: Callable[[], ViewerConnection]
    ) -> None:
        self._capture = capture
        self._fan_out = fan_out
        self._new_connection = new_connection
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._state = EgressState.OFF
        self._url = self._token = self._video_id = self._error = ""
        self._connections = 0
        self._paused = False
        self._connection: ViewerConnection | None = None
        self._video: FrameSender | None = None
        self._audio: FrameSender | None = None

    @property
    def status(self) -> EgressStatus:
        """How it goes now."""
        reports = self._video.reports if self._video is not None else None
        return EgressStatus(
            state=self._state,
            url=self._url,
            error=self._error,
            connections=self._connections,
            bytes_sent=self._connection.bytes_sent if self._connection is not None else 0,
            round_trip=reports.round_trip if reports is not None else None,
            fraction_lost=reports.fraction_lost if reports is not None else 0.0,
        )

    def start(self, url: str, token: str, video: str = "") -> None:
        """Begin to publish, and go on until `stop`.

        Args:
            url: of the WHIP endpoint.
            token: that it wants as a bearer; empty if none.
            video: id of the quality of the picture; empty for the best.

        Raises:
            EgressError: it runs already, or there is no such quality.
        """
        if self._task is not None:
            raise EgressError("the room is published already")
        if video and video not in self._capture.videos:
            names = ", ".join(self._capture.videos)
            raise EgressError(f"there is no video {video[:40]!r}; there is {names}")
        self._video_id = video
        self._url, self._token = url, token
        self._error, self._connections = "", 0
        self._task = asyncio.create_task(self._run(), name="webrtc egress")

    async def stop(self) -> bool:
        """End it and say goodbye to the server; False if it did not run."""
        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.wait((task,))
        self._state = EgressState.OFF
        return True

    def set_paused(self, paused: bool) -> None:
        """Send nothing while only admins may see the room; the connection stays."""
        self._paused = paused
        for sender in (self._video, self._audio):
            if sender is not None:
                sender.flow.set_paused(paused)

    def server_stopped(self, seconds: float) -> None:
        """Begin anew after we were stopped for longer than a media server waits."""
        if seconds > OUTLIVED_STOP:
            self._ended.set()

    # inside

    async def _run(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            wanted = 0.0
            try:
                await self._publish()
            except WhipError as error:
                self._error, wanted = str(error), error.retry_after
            except WebRTCError as error:
                self._error = str(error)
            except Exception as error:  # noqa: BLE001 aiortc meets unusable answers with exceptions of many kinds
                log.debug("publishing failed", error=repr(error))
                self._error = f"the answer cannot be used: {str(error) or type(error).__name__}"[:200]
            if loop.time() - began > STABLE_AFTER:
                failures = 0
            self._state = EgressState.WAITING
            delay = min(FIRST_DELAY * 2**failures, LONGEST_DELAY)
            delay = max(delay * random.uniform(0.8, 1.2), wanted)  # noqa: S311 no secret
            failures = min(failures + 1, 16)
            log.warning("the room is not published", reason=self._error, again_in=round(delay, 1))
            await asyncio.sleep(delay)

    async def _publish(self) -> None:
        """Publish once, until the connection ends; always ends with an exception."""
        self._state = EgressState.CONNECTING
        self._connections += 1
        self._ended.clear()
        up = asyncio.Event()
        connection = self._connection = self._new_connection()
        pc = self._build(connection)
        resource = ""

        def changed() -> None:
            if pc.connectionState == "connected":
                up.set()
            elif pc.connectionState in ("failed", "closed"):
                self._ended.set()

        pc.on("connectionstatechange", changed)
        try:
            offer = await pc.createOffer()
            await pc.setLocalDescription(RTCSessionDescription(complete_offer(offer.sdp), "offer"))
            published = await whip.publish(self._url, self._token, str(pc.localDescription.sdp))
            resource = published.resource
            remote = read_remote(published.answer, is_answer=True)
            assert self._video is not None
            self._video.playout_delay_id = remote.playout_delay_id
            await pc.setRemoteDescription(RTCSessionDescription(published.answer, "answer"))
            await self._until_up(up)
            log.info("the room is published", connections=self._connections)
            self._state, self._error = EgressState.PUBLISHING, ""
            self._begin()
            await self._ended.wait()
            raise WebRTCError("the connection to the media server ended")
        finally:
            await self._close(pc, connection, resource)

    def _build(self, connection: ViewerConnection) -> RTCPeerConnection:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        videos = self._capture.videos
        video = videos[self._video_id] if self._video_id else next(iter(videos.values()))
        self._video = FrameSender("video", video, connection, self._fan_out)
        self._audio = FrameSender("audio", self._capture.audio, connection, self._fan_out)
        for sender, codecs in ((self._audio, [OPUS]), (self._video, [H264, RTX])):
            sender.flow.set_paused(self._paused)
            transceiver = pc.addTransceiver(sender.kind, direction="sendonly")
            transceiver.setCodecPreferences(codecs)
            seam.take_over(transceiver.sender, sender)
        seam.attach(pc, connection)
        connection.on_path_change = self._video.flow.request_keyframe
        return pc

    async def _until_up(self, up: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (up, self._ended)]
        try:
            await asyncio.wait(waits, timeout=CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not up.is_set():
            raise WebRTCError("the media server answered, but no connection to it comes about")

    def _begin(self) -> None:
        assert self._video is not None
        assert self._audio is not None
        self._video.flow.set_ready()
        self._audio.flow.set_ready()
        asyncio.get_running_loop().call_later(SECOND_KEYFRAME, self._video.flow.request_keyframe)

    async def _close(self, pc: RTCPeerConnection, connection: ViewerConnection, resource: str) -> None:
        for sender in (self._video, self._audio):
            if sender is not None:
                sender.stop()
        self._video = self._audio = self._connection = None
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if resource:
                    await whip.end(resource, self._url, self._token)
        except (TimeoutError, WhipError) as error:
            log.debug("the media server was not told that the stream ended", reason=str(error))
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await pc.close()
        except Exception as error:  # noqa: BLE001 whatever aiortc stumbles over, it is over
            log.debug("closing the connection to the media server failed", error=repr(error))
        finally:
            connection.shut()
            for transceiver in pc.getTransceivers():
                seam.collect_failure(transceiver.sender.transport)
