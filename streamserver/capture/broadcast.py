"""The room's picture and sound to an RTMP server: the video as viewers get it, the sound as AAC."""

from __future__ import annotations

import asyncio
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import av

from streamserver.logs import get_logger
from streamserver.signals import Signal

from .errors import BroadcastError
from .flv import FlvMuxer, parameter_sets
from .frames import EncodedFrame
from .stream import MediaStream, Subscription

KEYFRAME_EVERY = 4.0
"""Seconds between two key frames that are asked for: an audience that comes later begins at one."""

CONNECT_TIMEOUT = 8.0
"""Seconds the server has to take the stream."""

MAX_WAITING = 600
"""Frames that wait for the server; when it is slower, pictures are dropped up to the next key frame."""

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds between two attempts to reach a server that is gone: at first, and at most."""

MAX_URL = 2048
_TICK = 0.1

log = get_logger("broadcast")


@dataclass(frozen=True, slots=True)
class BroadcastStatus:
    """Whether the room is broadcast, and where to (the last place when it is not)."""

    is_active: bool
    url: str


def check_url(url: str) -> str:
    """Return the address if it is one of an RTMP server; raises `BroadcastError`.

    Nothing else is let through: the muxer would write files, too.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("rtmp", "rtmps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or len(url) > MAX_URL or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise BroadcastError("the broadcast URL must begin with rtmp:// or rtmps:// and name a server")
    return url


class Broadcast:
    """Sends to one RTMP server at a time. Used on the event loop; a thread does the sending.

    Attributes:
        on_changed: told each new status.
    """

    def __init__(self, video: MediaStream, audio: MediaStream | None, *, audio_bitrate: int = 128) -> None:
        """`audio_bitrate`: kbit/s of the AAC."""
        self.on_changed: Signal[[BroadcastStatus]] = Signal("broadcast changed")
        self._video = video
        self._audio = audio
        self._audio_bitrate = audio_bitrate
        self._url = ""
        self._sender: _Sender | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @property
    def status(self) -> BroadcastStatus:
        """What it does."""
        return BroadcastStatus(self._task is not None, self._url)

    def remember(self, url: str) -> None:
        """Take an address to be shown before the first start."""
        self._url = url

    async def start(self, url: str, *, insist: bool = False) -> None:
        """Begin; return when the server takes the stream; with `insist` at once, and try again and again.

        Raises:
            BroadcastError: the address is none, it runs already, or the server does not take the stream.
        """
        url = check_url(url)
        async with self._turn:
            if self._task is not None:
                raise BroadcastError("server is already broadcasting")
            first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._run(url, first), name="broadcast")
            if not insist:
                try:
                    await first
                except BaseException:
                    task.cancel()
                    await asyncio.wait({task})
                    raise
            else:
                first.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._task, self._url = task, url
        log.info("broadcast started", server=urlsplit(url).hostname)
        self.on_changed.emit(self.status)

    async def close(self) -> None:
        """End it if it runs."""
        await self.stop()

    async def stop(self) -> bool:
        """End it; return whether it ran."""
        async with self._turn:
            task, self._task = self._task, None
            if task is None:
                return False
            task.cancel()
            await asyncio.wait({task})
        log.info("broadcast stopped")
        self.on_changed.emit(self.status)
        return True

    async def _run(self, url: str, first: asyncio.Future[None]) -> None:
        """Send until cancelled, to a new connection whenever one broke or the picture has another size."""
        delay = FIRST_RETRY
        while True:
            began = time.monotonic()
            try:
                await self._send(url, first)
                delay = 0.0  # another size: at once
            except BroadcastError as error:
                if not first.done():
                    first.set_exception(error)
                log.warning("broadcast broke, will be tried again", reason=str(error))
                if time.monotonic() - began > LAST_RETRY:
                    delay = FIRST_RETRY
            await asyncio.sleep(delay)
            delay = min(max(delay * 2, FIRST_RETRY), LAST_RETRY)

    async def _send(self, url: str, first: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def tell(future: asyncio.Future[None], error: BroadcastError | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(None)

        def from_thread(future: asyncio.Future[None], error: BroadcastError | None = None) -> None:
            try:
                loop.call_soon_threadsafe(tell, future, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        sender = _Sender(
            url,
            self._audio_bitrate if self._audio else None,
            lambda: from_thread(first),
            lambda error: from_thread(ended, error),
        )
        subscriptions: list[Subscription] = [self._video.subscribe(sender.put_video)]
        if self._audio is not None:
            subscriptions.append(self._audio.subscribe(sender.put_audio))
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=KEYFRAME_EVERY)
                self._video.request_keyframe()
            ended.result()
        finally:
            for subscription in subscriptions:
                subscription.close()
            sender.stop()
            if not ended.done():
                await asyncio.wait({ended}, timeout=CONNECT_TIMEOUT + 2)


class _Sender:
    """The thread behind one connection; ends when it breaks, when told to, or at another picture size."""

    def __init__(
        self,
        url: str,
        audio_bitrate: int | None,
        connected: Callable[[], None],
        ended: Callable[[BroadcastError | None], None],
    ) -> None:
        self._url = url
        self._audio_bitrate = audio_bitrate
        self._connected = connected
        self._ended = ended
        self._frames: queue.Queue[tuple[bool, EncodedFrame] | None] = queue.Queue(MAX_WAITING)
        self._stopping = False
        self._skipping = False
        threading.Thread(target=self._run, name="broadcast", daemon=True).start()

    def put_video(self, frame: EncodedFrame) -> None:
        if self._skipping and not frame.keyframe:
            return
        try:
            self._frames.put_nowait((True, frame))
            self._skipping = False
        except queue.Full:
            self._skipping = True

    def put_audio(self, frame: EncodedFrame) -> None:
        if not self._frames.full():
            self._frames.put_nowait((False, frame))

    def stop(self) -> None:
        self._stopping = True

    def _run(self) -> None:
        try:
            self._send()
            self._ended(None)
        except BroadcastError as error:
            self._ended(error)
        except (av.FFmpegError, OSError) as error:
            text = str(error).replace(self._url, "the server")  # the address has the key of the stream in it
            self._ended(BroadcastError(f"the RTMP server does not take the stream: {text}"))
        except Exception:
            log.exception("broadcast failed")
            self._ended(BroadcastError("the broadcast failed; the log says why"))

    def _send(self) -> None:
        first = self._first_picture()
        if first is None:
            return
        headers = parameter_sets(first.data)
        muxer = FlvMuxer(self._url, first, self._audio_bitrate, CONNECT_TIMEOUT)
        try:
            muxer.video(first)
            self._connected()
            while not self._stopping:
                try:
                    item = self._frames.get(timeout=_TICK)
                except queue.Empty:
                    item = None
                if item is None:
                    muxer.fill(time.monotonic())
                    continue
                is_video, frame = item
                if not is_video:
                    muxer.audio(frame)
                    continue
                if frame.keyframe and parameter_sets(frame.data) != headers:
                    return
                muxer.video(frame)
                muxer.fill(frame.captured_at)
        finally:
            muxer.close()

    def _first_picture(self) -> EncodedFrame | None:
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while not self._stopping:
            try:
                item = self._frames.get(timeout=_TICK)
            except queue.Empty:
                item = None
            if item is not None and item[0] and item[1].keyframe:
                return item[1]
            if time.monotonic() > deadline:
                raise BroadcastError("the screen gives no picture")
        return None
