"""Whose camera the shared browser sees: one viewer at a time, who showed themselves last (as neko)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from streamserver.logs import get_logger
from streamserver.sessions.model import Session

from .one_at_a_time import OneAtATime

LARGEST = 1920 * 1080
"""Pixels of a viewer's picture; larger ones are not shown, for they would cost the other viewers' time."""
STILL = 3.0
"""Seconds without a picture after which the device is let go: the viewer has stopped, and may begin again."""
BLACK = (16, 128, 128)
"""Y, U and V of black, limited range."""

log = get_logger("webrtc")


class PicturesLike(Protocol):
    """Somebody who is seen; `streamserver.desktop.camera.Pictures`."""

    def write(self, picture: bytes, /) -> None:
        """Show a picture: planar YUV 4:2:0 of the camera's size. Never waits."""

    def close(self) -> None:
        """Show nothing any more."""


class CameraLike(Protocol):
    """The browser's camera; `streamserver.desktop.camera.Camera`."""

    width: int
    height: int

    def open(self) -> PicturesLike:
        """Begin to show. Raises when it cannot."""


class SightSlot:
    """Passes the pictures of the viewer who shows themselves on. Used on the event loop.

    Attributes:
        shown: who showed themselves last.
    """

    def __init__(self, camera: CameraLike | None) -> None:
        """None: nobody is seen."""
        self._camera = camera
        self._tasks = OneAtATime()
        self.shown: Session | None = None

    @property
    def is_there(self) -> bool:
        """Whether anybody can be seen."""
        return self._camera is not None

    def may_show(self, session: Session) -> bool:
        """Whether this viewer's pictures are wanted."""
        return self._camera is not None and session.profile.can_share_media

    def take(self, session: Session, track: MediaStreamTrack) -> None:
        """Look at this viewer, and no more at the one before."""
        if self._camera is None or not self.may_show(session):
            return
        self._tasks.start(self._look(self._camera, session, track), "sight")
        self.shown = session

    async def close(self) -> None:
        """Look at nobody any more."""
        await self._tasks.close()

    async def _look(self, camera: CameraLike, session: Session, track: MediaStreamTrack) -> None:
        newest = _Newest(track)
        pictures: PicturesLike | None = None
        try:
            while self.may_show(session):
                try:
                    async with asyncio.timeout(STILL):
                        frame = await newest.get()
                except TimeoutError:
                    if pictures is not None:
                        log.info("a viewer is seen no more", session_id=session.id)
                        pictures.close()
                        pictures = None
                    continue
                if pictures is None:  # only now is there something to show
                    pictures = camera.open()
                    log.info("a viewer is seen", session_id=session.id)
                if frame.width * frame.height <= LARGEST:
                    pictures.write(await asyncio.to_thread(fit, frame, camera.width, camera.height))
        except MediaStreamError:
            log.info("a viewer is seen no more", session_id=session.id)
        except Exception as error:  # noqa: BLE001 - whatever the device raises: nobody is seen
            log.warning("a viewer cannot be seen", session_id=session.id, error=str(error))
        finally:
            newest.stop()
            if pictures is not None:
                pictures.close()


class _Newest:
    """The newest picture of a track. aiortc keeps all until they are taken, so they are taken at once."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self._frame: VideoFrame | None = None
        self._came = asyncio.Event()
        self._over = False
        self._task = asyncio.create_task(self._take(track), name="camera pictures")

    async def get(self) -> VideoFrame:
        """Wait for one that was not given out yet. Raises MediaStreamError when there will be none."""
        while self._frame is None:
            if self._over:
                raise MediaStreamError
            self._came.clear()
            await self._came.wait()
        frame, self._frame = self._frame, None
        return frame

    def stop(self) -> None:
        """Take no more."""
        self._task.cancel()

    async def _take(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self._frame = frame
                    self._came.set()
        except MediaStreamError:
            self._over = True
            self._came.set()


def fit(frame: VideoFrame, width: int, height: int) -> bytes:
    """Return the picture as planar YUV 4:2:0 of that size, its shape kept, with black around it. Pure."""
    scale = min(width / frame.width, height / frame.height)
    inner_width = min(width, max(2, round(frame.width * scale / 2) * 2))
    inner_height = min(height, max(2, round(frame.height * scale / 2) * 2))
    scaled = frame.reformat(inner_width, inner_height, format="yuv420p")
    left, top = (width - inner_width) // 4 * 2, (height - inner_height) // 4 * 2
    planes = []
    for plane, black, part in zip(scaled.planes, BLACK, (1, 2, 2), strict=True):
        whole_width, row_width = width // part, inner_width // part
        whole = bytearray((black,)) * (whole_width * (height // part))
        source = memoryview(plane)
        for row in range(inner_height // part):
            start = (top // part + row) * whole_width + left // part
            from_here = row * plane.line_size
            whole[start : start + row_width] = source[from_here : from_here + row_width]
        planes.append(whole)
    return b"".join(planes)
