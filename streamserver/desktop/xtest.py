"""The input devices of an X server as the XTEST extension offers them, without waiting for the server."""

import select

import xcffib
import xcffib.xkb
import xcffib.xproto
import xcffib.xtest

KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6
"""Event types of FakeInput (X11 protocol, events)."""

_CORE_KEYBOARD = 0x100
_ALL_MODIFIERS = 0xFF


class XTestDevices:
    """Keyboard and pointer of one connection.

    Nothing here waits, except where round trips are named, as long as callers ask `ready` before they send.
    """

    def __init__(self, connection: xcffib.Connection) -> None:
        """Prepare the connection (some round trips) and take any lock off the keyboard.

        Raises:
            xcffib.XcffibException: the connection is gone or the server lacks XTEST.
        """
        self._connection = connection
        self._core = xcffib.xproto.xprotoExtension(connection)
        setup = connection.get_setup()
        self._first, self._last = setup.min_keycode, setup.max_keycode
        self.root: int = setup.roots[connection.pref_screen].root
        self._xtest = connection(xcffib.xtest.key)
        self._xtest.GetVersion(2, 2).reply()
        self._writable = select.poll()
        self._writable.register(connection.get_file_descriptor(), select.POLLOUT)
        self.clear_locks()

    def read_mapping(self) -> dict[int, tuple[int, ...]]:
        """Return the keysyms of each keycode (one round trip)."""
        count = self._last - self._first + 1
        reply = self._core.GetKeyboardMapping(self._first, count).reply()
        width = reply.keysyms_per_keycode
        table = list(reply.keysyms)
        return {
            self._first + index: tuple(table[index * width : (index + 1) * width]) for index in range(count)
        }

    def pointer(self) -> tuple[int, int]:
        """Return where the pointer is, in px (one round trip)."""
        reply = self._core.QueryPointer(self.root).reply()
        return reply.root_x, reply.root_y

    def clear_locks(self) -> None:
        """Turn Caps Lock and its kin off and choose the first keyboard group."""
        keyboard = self._connection(xcffib.xkb.key)
        keyboard.UseExtension(1, 0).reply()
        keyboard.LatchLockState(_CORE_KEYBOARD, _ALL_MODIFIERS, 0, True, 0, 0, False, 0)
        self._connection.flush()

    def lock_modifiers(self, mask: int, values: int) -> None:
        """Queue locking the modifiers of `mask` that are in `values`, and unlocking the others of it."""
        keyboard = self._connection(xcffib.xkb.key)
        keyboard.LatchLockState(_CORE_KEYBOARD, mask, values, False, 0, 0, False, 0)

    def ready(self) -> bool:
        """Whether the server takes requests now; if so, `flush` will not wait (a few kB at a time)."""
        return bool(self._writable.poll(0))

    def fake(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        """Queue an event; `detail` is the keycode or button."""
        self._xtest.FakeInput(kind, detail, 0, self.root if kind == MOTION else 0, x, y, 0)

    def put_symbols(self, keycode: int, symbols: tuple[int, int]) -> None:
        """Queue the change of a key's symbols, without and with Shift."""
        self._core.ChangeKeyboardMapping(1, keycode, len(symbols), list(symbols))

    def flush(self) -> None:
        """Send what is queued."""
        self._connection.flush()
