"""The desktop's clipboard, both ways: what viewers put in and what is copied in the browser."""

import asyncio
from dataclasses import dataclass

import xcffib
import xcffib.xfixes

from streamserver.desktop.errors import DesktopError
from streamserver.desktop.selection_owner import SelectionOwner
from streamserver.desktop.selection_reader import SelectionReader, TooLarge
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.x_client import XClient
from streamserver.logs import get_logger
from streamserver.signals import Signal

MAX_BYTES = 8 * 1024 * 1024
"""Most that the clipboard takes and gives, in each form."""
MAX_TOLD = 512 * 1024
"""Bytes of a copied text beyond which it is not announced; it can still be fetched."""
TELL_INTERVAL = 0.1
"""Seconds between two looks at a clipboard that changes again and again."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXT_TARGETS = ("UTF8_STRING", "text/plain;charset=utf-8", "text/plain")
_HTML = "text/html"
_IMAGE = "image/png"

log = get_logger("desktop")


class ClipboardError(DesktopError):
    """The clipboard cannot be read or set; the message says why."""


@dataclass(frozen=True, slots=True)
class ClipboardText:
    """What is in the clipboard, as text; empty where it has none."""

    text: str = ""
    html: str = ""


class Clipboard:
    """The CLIPBOARD selection of the display.

    Attributes:
        on_changed: told the text in it after each change, ours included, if it is a text.
    """

    def __init__(self) -> None:
        """Prepare; see `attach`."""
        self.on_changed: Signal[[str]] = Signal("clipboard changed")
        self._client: XClient | None = None
        self._owner: SelectionOwner | None = None
        self._reader: SelectionReader | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def attach(self, display: XDisplay) -> None:
        """Take part in the display's selections from now on (some round trips).

        Raises:
            DesktopError: the display cannot be reached.
            xcffib.XcffibException: the connection broke.
        """
        self.detach()
        client = XClient(display.connect())
        try:
            fixes = client.connection(xcffib.xfixes.key)
            fixes.QueryVersion(4, 0).reply()
            fixes.SelectSelectionInput(
                client.window, client.atom("CLIPBOARD"),
                xcffib.xfixes.SelectionEventMask.SetSelectionOwner,
            )  # fmt: skip
            self._owner = SelectionOwner(client, "CLIPBOARD")
            self._reader = SelectionReader(client, "CLIPBOARD")
        except BaseException:
            client.close()
            raise
        client.listen(self._handle)
        client.on_lost = self.detach
        client.flush()
        self._client = client
        self._changed.clear()
        self._announcing = asyncio.create_task(self._announce(), name="clipboard")

    def detach(self) -> None:
        """Leave the display; what we had put in is gone."""
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        if self._owner is not None:
            self._owner.close()
        if self._client is not None:
            self._client.close()
        self._client = self._owner = self._reader = None

    async def read(self) -> ClipboardText:
        """Return text and HTML that are in it.

        Raises:
            ClipboardError: its owner does not answer, or it is too large.
        """
        return ClipboardText(await self._read_text(), decode_html(await self._read_listed(_HTML) or b""))

    async def read_image(self) -> bytes | None:
        """Return the picture that is in it as PNG; None: there is none.

        Raises:
            ClipboardError: its owner does not answer, or it is too large.
        """
        return await self._read_listed(_IMAGE) or None

    async def write(self, content: ClipboardText) -> None:
        """Put text, HTML or both in; what it had is gone.

        Raises:
            ClipboardError: it is too large, or there is no display now.
        """
        offered: dict[str, bytes] = {}
        if content.text or not content.html:
            text = content.text.encode("utf-8", "replace")
            offered.update(dict.fromkeys((*_TEXT_TARGETS, "TEXT"), text))
            offered["STRING"] = content.text.encode("latin-1", "replace")
        if content.html:
            offered[_HTML] = content.html.encode("utf-8", "replace")
        await self._offer(offered)

    async def write_image(self, png: bytes) -> None:
        """Put a picture in.

        Raises:
            ClipboardError: it is no PNG or too large, or there is no display now.
        """
        if not png.startswith(PNG_SIGNATURE):
            raise ClipboardError("the picture is no PNG")
        await self._offer({_IMAGE: png})

    async def _offer(self, contents: dict[str, bytes]) -> None:
        largest = max(map(len, contents.values()))
        if largest > MAX_BYTES:
            raise ClipboardError(f"{largest} bytes are too much for the clipboard: {MAX_BYTES} are possible")
        if self._owner is None:
            raise ClipboardError("there is no display now")
        try:
            await self._owner.offer(contents)
        except (xcffib.XcffibException, TimeoutError, asyncio.CancelledError) as error:
            _reraise_cancellation(error)
            raise ClipboardError(f"the clipboard cannot be set: {error!r}") from error

    async def _read_text(self) -> str:
        text = await self._read("UTF8_STRING")
        if text is not None:
            return text.decode("utf-8", "replace")
        return (await self._read("STRING") or b"").decode("latin-1")

    async def _read_listed(self, target: str) -> bytes | None:
        """Read it only if the owner says that it has it: some answer every question with what they have."""
        if self._owner is None or not self._owner.contents:
            kinds = await self._read("TARGETS")
            if self._client is None or self._client.atom(target) not in atoms(kinds or b""):
                return None
        return await self._read(target)

    async def _read(self, target: str) -> bytes | None:
        if self._owner is not None and self._owner.contents:
            return self._owner.contents.get(target)
        if self._reader is None:
            raise ClipboardError("there is no display now")
        try:
            return await self._reader.read(target, MAX_BYTES)
        except TooLarge as error:
            raise ClipboardError(f"the clipboard is too large: {error}") from None
        except TimeoutError:
            raise ClipboardError("the program that owns the clipboard does not answer") from None
        except xcffib.XcffibException as error:
            raise ClipboardError(f"the clipboard cannot be read: {error!r}") from error

    def _handle(self, event: xcffib.Event) -> None:
        if isinstance(event, xcffib.xfixes.SelectionNotifyEvent):
            self._changed.set()

    async def _announce(self) -> None:
        """Tell of changes, one at a time: a program that copies in a loop gets one look per interval."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                text = await self._read_text()
            except ClipboardError as error:
                log.debug("a change of the clipboard is not told", reason=str(error))
            else:
                if len(text) > MAX_TOLD:
                    log.debug("a change of the clipboard is not told: too large", characters=len(text))
                elif text:
                    self.on_changed.emit(text)
            await asyncio.sleep(TELL_INTERVAL)


def atoms(raw: bytes) -> list[int]:
    """Return the numbers in a property of format 32."""
    return [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw) - 3, 4)]


def decode_html(raw: bytes) -> str:
    """Return HTML as text: browsers hand it over in UTF-16 (with a byte order mark) or UTF-8."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace").rstrip("\0")
    return raw.decode("utf-8", "replace").rstrip("\0")


def _reraise_cancellation(error: BaseException) -> None:
    """Let the caller's own cancellation through; one that `SelectionOwner.close` caused is a failure."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
