"""Stand-ins for parts of the desktop that need an X server, for tests of the rooms that call them."""

from streamserver.capture.stills import NoPictureError
from streamserver.desktop.clipboard import MAX_BYTES, ClipboardError, ClipboardText
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
