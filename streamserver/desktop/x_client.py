"""An X client of our own: a connection and a window that nobody sees, whose events come on the event loop."""

import asyncio
import contextlib
from collections.abc import Callable

import xcffib
import xcffib.xproto

from streamserver.logs import get_logger

CURRENT_TIME = 0
NO_ATOM = 0

_EVENTS_PER_TURN = 64
_SENT_BY_A_CLIENT = 0x80

log = get_logger("desktop")


class XClient:
    """What takes part in selections and drag and drop needs a window to be addressed at.

    Nothing here waits for another program; some calls wait for one round trip to the X server.

    Attributes:
        core: requests of the core protocol.
        connection: for extensions.
        root, window: the root window, and ours.
        on_lost: called when the connection broke.
    """

    def __init__(self, connection: xcffib.Connection) -> None:
        """Take the connection, which is closed by `close`. Needs a running event loop.

        Raises:
            xcffib.XcffibException: the connection broke.
        """
        self.connection = connection
        self.core = xcffib.xproto.xprotoExtension(connection)
        screen = connection.get_setup().roots[connection.pref_screen]
        self.root: int = screen.root
        self.window: int = connection.generate_id()
        self.on_lost: Callable[[], object] = lambda: None
        self._atoms: dict[str, int] = {}
        self._listeners: list[Callable[[xcffib.Event], object]] = []
        self._descriptor: int = connection.get_file_descriptor()
        self._open = True
        self._looking: asyncio.Handle | None = None
        self.core.CreateWindow(
            0, self.window, screen.root, -10, -10, 1, 1, 0, xcffib.xproto.WindowClass.InputOnly,
            screen.root_visual, xcffib.xproto.CW.EventMask, [xcffib.xproto.EventMask.PropertyChange],
            is_checked=True,
        ).check()  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._readable)

    def listen(self, listener: Callable[[xcffib.Event], object]) -> None:
        """Call `listener` with every event."""
        self._listeners.append(listener)

    def atom(self, name: str) -> int:
        """Return the number of a name (one round trip the first time)."""
        number = self._atoms.get(name)
        if number is None:
            number = int(self.core.InternAtom(False, len(name), name).reply().atom)
            self._atoms[name] = number
        return number

    def property_bytes(self, window: int, name: int, limit: int, *, delete: bool) -> tuple[int, bytes]:
        """Return type and content of a property, `limit` bytes at most (one round trip)."""
        reply = self.core.GetProperty(
            delete, window, name, xcffib.xproto.Atom.Any, 0, (limit + 3) // 4
        ).reply()
        return int(reply.type), bytes(reply.value.raw)

    def put_property(self, window: int, name: int, kind: int, size: int, content: bytes) -> None:
        """Queue a property of `size` bits per item."""
        mode = xcffib.xproto.PropMode.Replace
        self.core.ChangeProperty(mode, window, name, kind, size, len(content) * 8 // size, content)

    def send_message(self, window: int, kind: str, *values: int) -> None:
        """Queue a client message with up to five numbers of 32 bits."""
        numbers = [*values, 0, 0, 0, 0, 0][:5]
        data = xcffib.xproto.ClientMessageData.synthetic(numbers, "=5I")
        message = xcffib.xproto.ClientMessageEvent.synthetic(32, window, self.atom(kind), data)
        self.core.SendEvent(False, window, 0, message.pack())

    def flush(self) -> None:
        """Send what is queued, and take events in that came with answers meanwhile."""
        self.connection.flush()
        if self._open and self._looking is None:
            # answers bring events along into the library's queue, of which the descriptor says nothing
            self._looking = self._loop.call_soon(self._readable)

    def close(self) -> None:
        """Give the connection up; twice is fine."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._descriptor)
        if self._looking is not None:
            self._looking.cancel()
        with contextlib.suppress(xcffib.XcffibException):
            self.connection.disconnect()

    def _readable(self) -> None:
        self._looking = None
        try:
            for _ in range(_EVENTS_PER_TURN):
                if not self._open:
                    return
                try:
                    event = self.connection.poll_for_event()
                    if event is None:
                        return
                    for listener in tuple(self._listeners):
                        listener(event)
                except xcffib.ProtocolException as error:
                    # the window of a program that is gone by now
                    log.debug("the X server refused a request", error=repr(error))
            self._looking = self._loop.call_soon(self._readable)
        except xcffib.XcffibException as error:
            log.debug("lost the X connection", error=str(error))
            self.close()
            self.on_lost()


def is_sent(event: xcffib.Event) -> bool:
    """Tell whether another client made this event, and not the server."""
    return bool(getattr(event, "response_type", 0) & _SENT_BY_A_CLIENT)
