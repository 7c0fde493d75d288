"""What happens on the display, told without being asked: cursor, screen size, windows, keyboard mapping."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import xcffib
import xcffib.randr
import xcffib.xfixes
import xcffib.xproto

from streamserver.desktop.cursor import CursorImage, encode_png, straight_rgba
from streamserver.logs import get_logger

CURSOR_CACHE = 100
"""Most cursor pictures that are kept."""
MAX_CURSOR_SIDE = 256
"""A larger cursor is not shown to viewers, px."""
_MAX_WINDOWS = 1024
_ICONIC = 3
_PAGER = 2
_CURRENT_TIME = 0

log = get_logger("desktop")


class DisplayEvents:
    """Reads the events of one connection on the event loop and calls back for each that matters.

    Attributes that callers set before `start`; each is called on the event loop:
        on_cursor: a new picture of the pointer.
        on_size: width and height of the screen, in px.
        on_windows: how many windows programs show.
        on_mapping: request, first keycode and count of a MappingNotify.
        on_lost: the connection broke.
    """

    def __init__(self, connection: xcffib.Connection) -> None:
        """Take the connection; its events are ours from now on."""
        self._connection = connection
        self._core = xcffib.xproto.xprotoExtension(connection)
        self._fixes = connection(xcffib.xfixes.key)
        self._randr = connection(xcffib.randr.key)
        self._root = connection.get_setup().roots[connection.pref_screen].root
        self._descriptor: int = connection.get_file_descriptor()
        self._cursors: OrderedDict[int, CursorImage] = OrderedDict()
        self._watched: set[int] = set()
        self._atoms: dict[str, int] = {}
        self.on_cursor: Callable[[CursorImage], object] = lambda image: None
        self.on_size: Callable[[int, int], object] = lambda width, height: None
        self.on_windows: Callable[[int], object] = lambda count: None
        self.on_mapping: Callable[[int, int, int], object] = lambda request, first, count: None
        self.on_lost: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Ask for the events (some round trips) and begin to read them.

        Raises:
            xcffib.XcffibException: the connection broke or an extension is missing.
        """
        self._fixes.QueryVersion(4, 0).reply()
        self._fixes.SelectCursorInput(self._root, xcffib.xfixes.CursorNotifyMask.DisplayCursor)
        self._randr.QueryVersion(1, 4).reply()
        self._randr.SelectInput(self._root, xcffib.randr.NotifyMask.ScreenChange)
        for name in ("_NET_CLIENT_LIST", "_NET_ACTIVE_WINDOW", "WM_STATE"):
            self._atoms[name] = self._core.InternAtom(False, len(name), name).reply().atom
        self._select(self._root)
        self._read_cursor()
        self._read_windows(first=True)
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)
        self._readable()

    def stop(self) -> None:
        """Read no more events; the connection stays open."""
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def is_window(self, x: int, y: int) -> bool:
        """Tell whether a program's window is at this point (px), and not a menu or tooltip over it.

        Two round trips.
        """
        try:
            top = self._core.TranslateCoordinates(self._root, self._root, x, y).reply().child
            if not top:
                return False
            # the window manager's frame, or the window itself
            return not self._watched.isdisjoint((top, *self._core.QueryTree(top).reply().children))
        except xcffib.XcffibException:
            return False

    def _readable(self) -> None:
        try:
            while True:
                try:
                    event = self._connection.poll_for_event()
                    if event is None:
                        return
                    self._handle(event)
                except xcffib.ProtocolException as error:
                    # an answer to a request about something that is gone by now
                    log.debug("the X server refused a request", error=repr(error))
        except xcffib.XcffibException as error:
            log.debug("lost the X connection", error=str(error))
            self.stop()
            self.on_lost()

    def _handle(self, event: xcffib.Event) -> None:
        if isinstance(event, xcffib.xfixes.CursorNotifyEvent):
            self._read_cursor(event.cursor_serial)
        elif isinstance(event, xcffib.randr.ScreenChangeNotifyEvent):
            geometry = self._core.GetGeometry(self._root).reply()
            self.on_size(geometry.width, geometry.height)
        elif isinstance(event, xcffib.xproto.MappingNotifyEvent):
            self.on_mapping(event.request, event.first_keycode, event.count)
        elif isinstance(event, xcffib.xproto.PropertyNotifyEvent):
            if event.atom == self._atoms["_NET_CLIENT_LIST"]:
                self._read_windows()
            elif event.atom == self._atoms["WM_STATE"]:
                self._unminimise(event.window)

    def _read_cursor(self, serial: int | None = None) -> None:
        image = None if serial is None else self._cursors.get(serial)
        if image is None:
            image = self._fetch_cursor()
            if image is None:
                return
            self._cursors[image.serial] = image
            if len(self._cursors) > CURSOR_CACHE:
                self._cursors.popitem(last=False)
        self._cursors.move_to_end(image.serial)
        self.on_cursor(image)

    def _fetch_cursor(self) -> CursorImage | None:
        shown = self._fixes.GetCursorImage().reply()
        width, height = shown.width, shown.height
        if not (0 < width <= MAX_CURSOR_SIDE and 0 < height <= MAX_CURSOR_SIDE):
            return None
        argb = b"".join(pixel.to_bytes(4, "little") for pixel in shown.cursor_image)
        png = encode_png(width, height, straight_rgba(argb))
        return CursorImage(shown.cursor_serial, width, height, shown.xhot, shown.yhot, png)

    def _read_windows(self, first: bool = False) -> None:
        reply = self._core.GetProperty(
            False, self._root, self._atoms["_NET_CLIENT_LIST"], xcffib.xproto.Atom.WINDOW, 0, _MAX_WINDOWS
        ).reply()
        windows = set(reply.value.to_atoms()) if reply.format == 32 else set()
        for window in windows - self._watched:
            self._select(window)
            if not first:
                self._activate(window)
        self._watched = windows
        self.on_windows(len(windows))

    def _select(self, window: int) -> None:
        mask = xcffib.xproto.EventMask.PropertyChange
        self._core.ChangeWindowAttributes(window, xcffib.xproto.CW.EventMask, [mask])
        self._connection.flush()

    def _activate(self, window: int) -> None:
        """Bring a new window to the front: openbox leaves it behind when somebody types at that moment.

        With no task bar nobody could get at it there (EWMH, _NET_ACTIVE_WINDOW, source 2: a pager asks).
        """
        data = xcffib.xproto.ClientMessageData.synthetic([_PAGER, _CURRENT_TIME, 0, 0, 0], "=5I")
        message = xcffib.xproto.ClientMessageEvent.synthetic(
            32, window, self._atoms["_NET_ACTIVE_WINDOW"], data
        )
        mask = xcffib.xproto.EventMask.SubstructureNotify | xcffib.xproto.EventMask.SubstructureRedirect
        self._core.SendEvent(False, self._root, mask, message.pack())
        self._connection.flush()

    def _unminimise(self, window: int) -> None:
        """Bring a minimised window back: there is no task bar to do it with (neko: desktop.unminimize)."""
        if window not in self._watched:
            return
        state = self._atoms["WM_STATE"]
        try:
            reply = self._core.GetProperty(False, window, state, state, 0, 1).reply()
        except xcffib.ProtocolException:
            return  # the window is gone
        if reply.format == 32 and reply.value.to_atoms()[:1] == (_ICONIC,):
            self._core.MapWindow(window)
            self._connection.flush()
