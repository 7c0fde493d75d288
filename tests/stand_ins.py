"""Stand-ins for parts of the desktop that need an X server, for tests of the rooms that call them."""

from collections.abc import Mapping

from streamserver.capture.broadcast import BroadcastStatus, check_url
from streamserver.capture.errors import BroadcastError, NoPictureError
from streamserver.desktop.clipboard import MAX_BYTES, ClipboardError, ClipboardText
from streamserver.desktop.file_chooser import ChooserError
from streamserver.desktop.keyboard import KeyboardError, KeyboardMap
from streamserver.signals import Signal


class ClipboardStandIn:
    """A clipboard in memory; tells of changes as the real one does, only at once."""

    def __init__(self) -> None:
        self.content = ClipboardText()
        self.image: bytes | None = None
        self.broken = False
        self.on_changed: Signal[[str]] = Signal("clipboard changed")

    async def read(self) -> ClipboardText:
        self._check()
        return self.content

    async def read_image(self) -> bytes | None:
        self._check()
        return self.image

    async def write(self, content: ClipboardText, /) -> None:
        self._check()
        if len(content.text) > MAX_BYTES:
            raise ClipboardError("too much")
        self.content, self.image = content, None
        if content.text:
            self.on_changed.emit(content.text)

    async def write_image(self, png: bytes) -> None:
        self._check()
        if not png.startswith(b"\x89PNG"):
            raise ClipboardError("the picture is no PNG")
        self.content, self.image = ClipboardText(), png

    def _check(self) -> None:
        if self.broken:
            raise ClipboardError("there is no display now")


class StillsStandIn:
    """Pictures of a screen: texts that say what was asked for."""

    def __init__(self) -> None:
        self.screen = "one"
        self.broken = False

    async def cast(self, quality: int, interval: float) -> bytes:
        return await self.shot(quality)

    async def shot(self, quality: int) -> bytes:
        if self.broken:
            raise NoPictureError("the screen gave no picture")
        return f"{self.screen} at {quality}".encode()


class KeyboardStandIn:
    """A keyboard that knows two layouts."""

    def __init__(self) -> None:
        self.layout = KeyboardMap("us")
        self.modifiers = dict.fromkeys(
            ("shift", "capslock", "control", "alt", "numlock", "meta", "super", "altgr"), False
        )

    async def map(self) -> KeyboardMap:
        return self.layout

    async def set_map(self, wanted: KeyboardMap, /) -> None:
        if wanted.layout not in ("us", "de"):
            raise KeyboardError(f"there is no keyboard layout {wanted.layout!r}")
        self.layout = wanted

    def set_modifiers(self, changes: Mapping[str, bool | None], /) -> None:
        self.modifiers |= {name: on for name, on in changes.items() if on is not None}

    def unlock(self) -> None:
        self.modifiers = dict.fromkeys(self.modifiers, False)


class TouchStandIn:
    """Writes down what fingers do."""

    def __init__(self) -> None:
        self.reaches_pages = True
        self.calls: list[tuple[object, ...]] = []

    def begin(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        self.calls.append(("begin", finger, x, y, pressure))

    def update(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        self.calls.append(("update", finger, x, y, pressure))

    def end(self, finger: int, x: int = 0, y: int = 0, /) -> None:
        self.calls.append(("end", finger, x, y))

    def reset(self) -> None:
        self.calls.append(("reset",))


class FileChooserStandIn:
    """A dialog that tests open."""

    def __init__(self) -> None:
        self.is_open = False
        self.on_changed: Signal[[bool]] = Signal("file chooser changed")

    def open(self) -> None:
        self.is_open = True
        self.on_changed.emit(True)

    def close(self) -> None:
        self.is_open = False
        self.on_changed.emit(False)

    async def cancel(self) -> None:
        if not self.is_open:
            raise ChooserError("file chooser dialog is not open")
        self.close()


class BroadcastStandIn:
    """A broadcast that any server takes but one named `gone`."""

    def __init__(self) -> None:
        self.status = BroadcastStatus(is_active=False, url="")
        self.on_changed: Signal[[BroadcastStatus]] = Signal("broadcast changed")

    async def start(self, url: str) -> None:
        if self.status.is_active:
            raise BroadcastError("server is already broadcasting")
        if "gone" in check_url(url):
            raise BroadcastError("the RTMP server does not take the stream")
        self._set(BroadcastStatus(is_active=True, url=url))

    async def stop(self) -> bool:
        was = self.status
        if was.is_active:
            self._set(BroadcastStatus(is_active=False, url=was.url))
        return was.is_active

    def _set(self, status: BroadcastStatus) -> None:
        self.status = status
        self.on_changed.emit(status)
