"""Stand-ins for the rooms next door: the real desktop needs an X server and a browser, the real WebRTC both.

The desktop records what it is asked, and keeps the one promise the routes rely on: a width is rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from streamserver.config.types import ScreenSize
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.drop import DropError
from streamserver.desktop.errors import ScreenRefused
from streamserver.sessions.model import Message, Session
from streamserver.signals import Signal
from streamserver.webrtc.signaling import AudioRequest, AudioStatus, Provide, VideoRequest, VideoStatus
from tests.stand_ins import ClipboardStandIn, FileChooserStandIn, KeyboardStandIn, TouchStandIn


class InputStandIn:
    """Ignores all input."""

    def move(self, x: int, y: int) -> None: ...
    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None: ...
    def button_down(self, code: int) -> None: ...
    def button_up(self, code: int) -> None: ...
    def key_down(self, keysym: int) -> None: ...
    def key_up(self, keysym: int) -> None: ...
    def keypress(self, *symbols: int) -> None: ...
    def reset(self) -> None: ...


class DesktopStandIn:
    """A screen that takes every size up to 4000 pixels a side."""

    def __init__(self) -> None:
        self.input = InputStandIn()
        self.clipboard = ClipboardStandIn()
        self.keyboard = KeyboardStandIn()
        self.touch = TouchStandIn()
        self.file_chooser = FileChooserStandIn()
        self.screen = ScreenSize(1280, 720, 30)
        self.on_screen_changed: Signal[[ScreenSize]] = Signal("screen_changed")
        self.browser_state = BrowserState.RUNNING
        self.on_browser_state: Signal[[BrowserState]] = Signal("browser_state")
        self.dropped: list[object] = []
        self.asked: list[ScreenSize] = []

    async def drop(self, files: Sequence[tuple[str, BinaryIO]], x: int, y: int) -> None:
        if y < 50:
            raise DropError(f"there is no page at {x}, {y} to drop files on")
        self.dropped = [x, y, *((name, file.read()) for name, file in files)]

    async def answer_dialog(self, files: Sequence[tuple[str, BinaryIO]]) -> None:
        self.dropped = [(name, file.read()) for name, file in files]
        self.file_chooser.close()

    async def set_screen(self, size: ScreenSize, /) -> ScreenSize:
        self.asked.append(size)
        if not 0 < size.width <= 4000 or not 0 < size.height <= 4000:
            raise ScreenRefused(f"{size} is not possible")
        self.screen = ScreenSize(size.width - size.width % 8, size.height, size.rate)
        self.on_screen_changed.emit(self.screen)
        return self.screen

    def screen_configurations(self) -> list[ScreenSize]:
        return [ScreenSize(1920, 1080, 30), ScreenSize(1280, 720, 30)]


class WebRTCStandIn:
    """Has a stream and makes no connection."""

    video_ids: Sequence[str] = ("main",)
    takes: Sequence[str] = ("audio",)

    async def create_peer(self, session: Session, /, video: VideoRequest, audio: AudioRequest) -> Provide:
        return Provide(
            sdp="v=0 offer",
            iceservers=[],
            video=VideoStatus(disabled=False, id="main", video="main"),
            audio=AudioStatus(disabled=False),
        )

    def cursor_moved(self, session: Session, x: int, y: int, /) -> None: ...


@dataclass
class Watched:
    """A WebSocket that records what it is sent."""

    sent: list[tuple[str, object]] = field(default_factory=list)
    closed: str | None = None

    def send(self, event: str, payload: object = None) -> None:
        self.sent.append((event, payload))

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        self.closed = reason
