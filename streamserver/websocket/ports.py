"""What this room needs of the desktop and of WebRTC, so that it can be used and tested without either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pydantic import JsonValue

from streamserver.config.types import ScreenSize
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.clipboard import ClipboardText
from streamserver.desktop.keyboard import KeyboardMap
from streamserver.sessions.model import MediaPeer, Session
from streamserver.signals import Signal
from streamserver.webrtc.signaling import AudioRequest, AudioStatus, Provide, VideoRequest, VideoStatus

if TYPE_CHECKING:  # it loads codecs, which not every command needs
    from streamserver.capture.broadcast import BroadcastStatus


class InputPort(Protocol):
    """Pointer and keyboard of the desktop; `streamserver.desktop.input.Input`."""

    def move(self, x: int, y: int) -> None:
        """Put the pointer there."""

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        """Turn the wheel by notches."""

    def button_down(self, code: int) -> None:
        """Press a mouse button."""

    def button_up(self, code: int) -> None:
        """Release a mouse button."""

    def key_down(self, keysym: int) -> None:
        """Press a key."""

    def key_up(self, keysym: int) -> None:
        """Release a key."""

    def keypress(self, *symbols: int) -> None:
        """Press and release a chord."""

    def reset(self) -> None:
        """Release everything."""


class ClipboardPort(Protocol):
    """The desktop's clipboard; `streamserver.desktop.clipboard.Clipboard`."""

    @property
    def on_changed(self) -> Signal[[str]]:
        """Another text is in it."""

    async def write(self, content: ClipboardText, /) -> None:
        """Put something in. Raises `ClipboardError`."""


class KeyboardPort(Protocol):
    """Layout and locks; `streamserver.desktop.keyboard.Keyboard`."""

    async def set_map(self, wanted: KeyboardMap, /) -> None:
        """Load a layout. Raises `KeyboardError`."""

    def set_modifiers(self, changes: Mapping[str, bool | None], /) -> None:
        """Lock and unlock modifiers."""

    def unlock(self) -> None:
        """Unlock all."""


class TouchPort(Protocol):
    """Fingers; `streamserver.desktop.touch.Touch`."""

    @property
    def reaches_pages(self) -> bool:
        """Whether pages feel touches."""

    def begin(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Put a finger down."""

    def update(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Move a finger."""

    def end(self, finger: int, x: int = 0, y: int = 0, /) -> None:
        """Lift a finger."""

    def reset(self) -> None:
        """Lift all."""


class FileChooserPort(Protocol):
    """The dialog of a page that asks for files; `streamserver.desktop.file_chooser.FileChooser`."""

    @property
    def is_open(self) -> bool:
        """Whether a page waits for files."""

    @property
    def on_changed(self) -> Signal[[bool]]:
        """It was opened or closed."""

    async def cancel(self) -> None:
        """Close it. Raises `DesktopError`."""


class BroadcastPort(Protocol):
    """The room to an RTMP server; `streamserver.capture.broadcast.Broadcast`."""

    @property
    def status(self) -> BroadcastStatus:
        """What it does."""

    @property
    def on_changed(self) -> Signal[[BroadcastStatus]]:
        """It does something else."""


class DesktopPort(Protocol):
    """The desktop; `streamserver.desktop.desktop.Desktop`."""

    @property
    def input(self) -> InputPort:
        """Pointer and keyboard."""

    @property
    def clipboard(self) -> ClipboardPort:
        """What is copied and pasted."""

    @property
    def keyboard(self) -> KeyboardPort:
        """Layout and locks."""

    @property
    def touch(self) -> TouchPort:
        """Fingers."""

    @property
    def file_chooser(self) -> FileChooserPort:
        """The dialog of a page that asks for files."""

    @property
    def screen(self) -> ScreenSize:
        """The size now."""

    @property
    def on_screen_changed(self) -> Signal[[ScreenSize]]:
        """The size is another one."""

    @property
    def browser_state(self) -> BrowserState:
        """What the browser does now."""

    @property
    def on_browser_state(self) -> Signal[[BrowserState]]:
        """The browser does something else."""

    async def set_screen(self, size: ScreenSize, /) -> ScreenSize:
        """Change the size; return what it became. Raises when it is refused."""

    def screen_configurations(self) -> Sequence[ScreenSize]:
        """Sizes to offer."""


@runtime_checkable
class SignalingPeer(MediaPeer, Protocol):
    """A session's WebRTC connection as signalling sees it; `streamserver.webrtc.peer.Peer`."""

    async def set_answer(self, sdp: str, /) -> None:
        """Take the viewer's answer."""

    async def handle_offer(self, sdp: str, /) -> str:
        """Take the viewer's offer; return our answer."""

    async def restart(self) -> str:
        """Return an offer that restarts ICE."""

    def add_candidate(self, init: Mapping[str, JsonValue], /) -> None:
        """Take one of the viewer's candidates."""

    def set_video(self, request: VideoRequest, /) -> VideoStatus | None:
        """Change the picture; None: nothing changed."""

    def set_audio(self, request: AudioRequest, /) -> AudioStatus | None:
        """Change the sound; None: nothing changed."""


class WebRTCPort(Protocol):
    """Picture and sound; `streamserver.webrtc.manager.WebRTCManager`."""

    @property
    def video_ids(self) -> Sequence[str]:
        """Names of the streams, best first."""

    @property
    def takes(self) -> Sequence[str]:
        """What viewers may send for pages: audio (a microphone), video (a camera)."""

    async def create_peer(self, session: Session, /, video: VideoRequest, audio: AudioRequest) -> Provide:
        """Make the session's WebRTC connection and return our offer."""

    def cursor_moved(self, session: Session, x: int, y: int, /) -> None:
        """Show the others where this session moved the pointer (px)."""
