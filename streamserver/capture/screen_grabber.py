"""The pixels of an X screen: XDamage says which rows changed, MIT-SHM brings only those."""

from __future__ import annotations

from typing import Protocol

import xcffib
import xcffib.damage
import xcffib.randr
import xcffib.shm
import xcffib.xfixes
import xcffib.xproto

from .errors import ScreenLostError
from .rows import Area, Rows, damaged_rows
from .shared_memory import Owner, SharedMemory
from .yuv import BYTES_PER_PIXEL

_ALL_PLANES = 0xFFFFFFFF
_NO_REGION = 0
_EXTENSIONS = ("DAMAGE", "XFIXES", "MIT-SHM", "RANDR")
_SIZE_EVENTS = (
    xcffib.randr.ScreenChangeNotifyEvent,
    xcffib.randr.NotifyEvent,
    xcffib.xproto.ConfigureNotifyEvent,
)


class Display(Protocol):
    """An X display to capture; `streamserver.desktop.x11.XDisplay` is one."""

    @property
    def name(self) -> str:
        """What DISPLAY would say, such as `:99`."""

    @property
    def owner(self) -> Owner | None:
        """The account the X server runs as; None: ours, or one that may read our memory anyhow."""

    def connect(self) -> xcffib.Connection:
        """Open a new connection to the X server."""


class ScreenGrabber:
    """Holds the screen's picture in memory and keeps it up to date on demand.

    Owns one connection to the X server; used by one thread. Every method raises `ScreenLostError` (or an
    `xcffib.XcffibException`) when the server is gone.

    The damage object reports once when it stops being empty; `read` empties it into a region and asks for the
    pixels afterwards, so a change between the two is seen twice rather than never.

    Attributes:
        width, height: size of the screen in px, as it is; the encoder crops to even numbers.
        stride: bytes from one row to the next.
        rows_read: rows fetched from the X server since the start (for tests and figures).
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._connection = display.connect()
        self._memory: SharedMemory | None = None
        self._segment = 0
        self._damaged = self._everything = True
        self._size_in_doubt = False
        self.rows_read = 0
        self.width = self.height = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> int:
        """Where the BGRX picture begins in memory; changes when the screen's size does."""
        if self._memory is None:
            raise ScreenLostError(f"display {self._display.name}: the picture is closed")
        return self._memory.address

    @property
    def stride(self) -> int:
        """Bytes from one row of the picture to the next."""
        return self.width * BYTES_PER_PIXEL

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the server has something to say."""
        return int(self._connection.get_file_descriptor())

    def poll(self) -> bool:
        """Read what the server has said, without waiting; return whether the picture is out of date."""
        while (event := self._connection.poll_for_event()) is not None:
            if isinstance(event, xcffib.damage.NotifyEvent):
                self._damaged = True
            elif isinstance(event, _SIZE_EVENTS):
                self._size_in_doubt = True
        return self.is_outdated

    @property
    def is_outdated(self) -> bool:
        """Whether the picture is out of date, as far as the last `poll` knew."""
        return self._damaged or self._size_in_doubt

    def invalidate(self) -> None:
        """Take the whole picture for out of date."""
        self._damaged = self._everything = True

    def read(self) -> list[Rows]:
        """Bring the picture up to date and return the rows that were read.

        All of them after a change of size, none when what changed cannot be seen. Costs two round trips.
        """
        if self._size_in_doubt:
            self._size_in_doubt = False
            self._fit_to_screen()
        try:
            bands = self._read_damaged()
        except xcffib.xproto.MatchError as error:
            if self._everything:
                raise ScreenLostError(
                    f"display {self._display.name} refuses to show its {self.width}x{self.height} px"
                ) from error
            # The screen became smaller between our look at its size and the server's.
            self._size_in_doubt = self._everything = True
            return []
        self._everything = False
        self.rows_read += sum(band.height for band in bands)
        return bands

    def close(self) -> None:
        """Give up the connection and the memory. Safe to call again."""
        self._connection.disconnect()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _open(self) -> None:
        connection = self._connection
        self._core = connection.core  # type: ignore[has-type]  # xcffib sets it at run time
        self._setup = connection.setup  # type: ignore[has-type]
        for name in _EXTENSIONS:
            if not self._core.QueryExtension(len(name), name).reply().present:
                raise ScreenLostError(f"display {self._display.name} lacks {name}: use Xvfb or Xorg")
        self._damage_extension = connection(xcffib.damage.key)
        self._fixes = connection(xcffib.xfixes.key)
        self._shm = connection(xcffib.shm.key)
        self._randr = connection(xcffib.randr.key)
        # The server answers an extension only after it was told which version we speak.
        self._damage_extension.QueryVersion(1, 1).reply()
        self._fixes.QueryVersion(5, 0).reply()
        self._shm.QueryVersion().reply()
        self._randr.QueryVersion(1, 3).reply()
        screen = self._setup.roots[connection.pref_screen]
        self._root = screen.root
        self._check_pixels(screen.root_depth)
        self._region = connection.generate_id()
        self._fixes.CreateRegion(self._region, 0, [])
        self._damage = connection.generate_id()
        self._damage_extension.CreateChecked(
            self._damage, self._root, xcffib.damage.ReportLevel.NonEmpty
        ).check()
        self._core.ChangeWindowAttributesChecked(
            self._root, xcffib.xproto.CW.EventMask, [xcffib.xproto.EventMask.StructureNotify]
        ).check()
        self._randr.SelectInput(
            self._root, xcffib.randr.NotifyMask.ScreenChange | xcffib.randr.NotifyMask.CrtcChange
        )
        self._fit_to_screen()

    def _check_pixels(self, depth: int) -> None:
        setup = self._setup
        bits = next((form.bits_per_pixel for form in setup.pixmap_formats if form.depth == depth), 0)
        if bits != BYTES_PER_PIXEL * 8 or setup.image_byte_order != xcffib.xproto.ImageOrder.LSBFirst:
            raise ScreenLostError(
                f"display {self._display.name} has {depth} colour bits in {bits}-bit pixels; capture "
                "needs 24 in 32 (little-endian): start Xvfb with `-screen 0 WxHx24`"
            )

    def _fit_to_screen(self) -> None:
        """Make the memory as large as the screen is now; keeps everything when the size is the same."""
        width, height = self._screen_size()
        if (width, height) == (self.width, self.height):
            return
        if self._memory is not None:
            self._shm.Detach(self._segment)
            self._memory.close()
            self._memory = None
        memory = SharedMemory(width * height * BYTES_PER_PIXEL, self._display.owner)
        self._memory = memory
        self._segment = self._connection.generate_id()
        try:
            self._shm.AttachChecked(self._segment, memory.id, False).check()
        except xcffib.xproto.AccessError as error:
            raise ScreenLostError(
                f"display {self._display.name}: the X server may not map our memory ({error!r}); it runs as "
                "another user than expected, or in another IPC namespace"
            ) from error
        finally:
            memory.forget()
        self.width, self.height = width, height
        self._everything = True

    def _screen_size(self) -> tuple[int, int]:
        """Return the part of the root window that RandR shows: a mode may be smaller than the framebuffer."""
        root = self._core.GetGeometry(self._root).reply()
        resources = self._randr.GetScreenResourcesCurrent(self._root).reply()
        width = height = 0
        for crtc in resources.crtcs:
            area = self._randr.GetCrtcInfo(crtc, resources.config_timestamp).reply()
            if area.mode:
                width, height = max(width, area.x + area.width), max(height, area.y + area.height)
        if not width or not height:
            return root.width, root.height
        return min(width, root.width), min(height, root.height)

    def _read_damaged(self) -> list[Rows]:
        self._damaged = False
        if self._everything:
            self._damage_extension.Subtract(self._damage, _NO_REGION, _NO_REGION)
            bands = damaged_rows([Area(0, 0, self.width, self.height)], self.width, self.height)
        else:
            self._damage_extension.Subtract(self._damage, _NO_REGION, self._region)
            region = self._fixes.FetchRegion(self._region).reply()
            areas = (Area(part.x, part.y, part.width, part.height) for part in region.rectangles)
            bands = damaged_rows(areas, self.width, self.height)
        replies = [
            self._shm.GetImage(
                self._root,
                0,
                band.first,
                self.width,
                band.height,
                _ALL_PLANES,
                xcffib.xproto.ImageFormat.ZPixmap,
                self._segment,
                band.first * self.stride,
            )
            for band in bands
        ]
        for reply in replies:
            reply.reply()
        return bands
