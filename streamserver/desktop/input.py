"""Pointer and keyboard of the display as people use them: which key, what is held, what is dropped."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import xcffib

from streamserver.desktop import keysyms
from streamserver.desktop.held import Held
from streamserver.desktop.keymap import KeyMap, Modifiers
from streamserver.desktop.spare_keys import SpareKeys
from streamserver.desktop.xtest import (
    BUTTON_PRESS,
    BUTTON_RELEASE,
    KEY_PRESS,
    KEY_RELEASE,
    MOTION,
    XTestDevices,
)
from streamserver.logs import get_logger

WHEEL_UP, WHEEL_DOWN, WHEEL_LEFT, WHEEL_RIGHT = 4, 5, 6, 7
"""The buttons that are the wheel."""
LAST_BUTTON = 10
"""Buttons of the XTEST pointer."""
MAX_SCROLL = 50
"""Most notches one scroll makes; the rest is dropped."""
MAX_WAITING = 512
"""Most actions that wait for a spare key or for a busy X server; later ones are dropped."""
RETRY_INTERVAL = 0.01
"""Seconds until a busy X server is asked again whether it takes input."""
MAPPING_DELAY = 0.03
"""Seconds between lending a key and pressing it: Chromium takes a new mapping in a task of its own."""
CONTROL_L = 0xFFE3

_MAPPING_KEYBOARD = 1
"""MappingNotify's `request` for the keyboard."""

log = get_logger("desktop")

Action = Callable[[], float | None]
"""Does its thing and returns None, or returns the seconds after which it wants to be tried again."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call after all."""


class Input:
    """Sends what people do to the X server, in order, without ever waiting for it.

    Every method may be called from the event loop and takes microseconds. Values out of range are dropped or
    clamped; nothing is raised. Between two X servers (after a crash) everything is dropped.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """Take the clock in seconds and what calls back later (None: the running event loop)."""
        self._clock = clock
        self._call_later = call_later
        self._devices: XTestDevices | None = None
        self._size = (1, 1)
        self._position = (0, 0)
        self._keys = Held()
        self._buttons = Held()
        self._map = KeyMap({})
        self._spare = SpareKeys(())
        self._waiting: deque[Action] = deque()
        self._timer: Timer | None = None
        self._overflowing = False

    @property
    def position(self) -> tuple[int, int]:
        """Where the pointer was put last, in px."""
        return self._position

    def attach(self, connection: xcffib.Connection, size: tuple[int, int]) -> None:
        """Send to this X server from now on; `size` is its screen's in px. Blocks for some round trips.

        Raises:
            xcffib.XcffibException: the connection broke or the server lacks XTEST.
        """
        self.detach()
        devices = XTestDevices(connection)
        self._map = KeyMap(devices.read_mapping())
        self._spare = SpareKeys(self._map.unused())
        self._position = devices.pointer()
        self._devices = devices
        self.resize(size)

    def detach(self, restore: bool = False) -> None:
        """Forget the X server; with `restore` first let everything go and give its keys back."""
        self._drop_waiting()
        if restore and self._devices is not None and self._devices.ready():
            self._release_all()
            for keycode in self._spare.lent:
                self._put_symbols(keycode, (keysyms.NO_SYMBOL, keysyms.NO_SYMBOL))
            self._flush()
        self._keys.release_all()
        self._buttons.release_all()
        self._devices = None

    def resize(self, size: tuple[int, int]) -> None:
        """Say how large the screen is now, in px."""
        self._size = size
        self._position = self._clamped(*self._position)

    def mapping_changed(self, request: int, first_keycode: int, count: int) -> None:
        """Read the keyboard mapping again when somebody else changed it (MappingNotify)."""
        ours = set(range(first_keycode, first_keycode + count)) <= self._spare.keycodes
        if self._devices is None or request != _MAPPING_KEYBOARD or ours:
            return
        rows = self._devices.read_mapping()
        for keycode in self._spare.keycodes:
            rows.pop(keycode, None)
        self._map = KeyMap(rows)

    def reload_mapping(self) -> None:
        """Begin anew with the keyboard mapping that the X server has now (one round trip)."""
        self.reset()
        try:
            if self._devices is not None:
                self._map = KeyMap(self._devices.read_mapping())
                self._spare = SpareKeys(self._map.unused())
        except xcffib.XcffibException as error:
            self._lost(error)

    def lock_modifiers(self, mask: int, values: int) -> None:
        """Lock or unlock the modifiers of `mask`, as the bits in `values` say (X11, SETofKEYMASK)."""

        def act() -> None:
            if self._devices is not None:
                self._devices.lock_modifiers(mask, values)

        self._do(act)

    def move(self, x: int, y: int) -> None:
        """Put the pointer there; px from the top left, clamped to the screen."""
        position = self._clamped(x, y)
        self._position = position
        self._do(lambda: self._fake(MOTION, 0, *position))

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        """Turn the wheel by notches: positive `dy` is up and positive `dx` left, as in neko's protocol."""

        def act() -> None:
            held = control_key and not self._modifiers().shortcut
            control = self._map.find(CONTROL_L, Modifiers()) if held else None
            if control is not None:
                self._fake(KEY_PRESS, control)
            for amount, positive, negative in ((dy, WHEEL_UP, WHEEL_DOWN), (dx, WHEEL_LEFT, WHEEL_RIGHT)):
                button = positive if amount > 0 else negative
                for _ in range(min(abs(amount), MAX_SCROLL)):
                    self._fake(BUTTON_PRESS, button)
                    self._fake(BUTTON_RELEASE, button)
            if control is not None:
                self._fake(KEY_RELEASE, control)

        self._do(act)

    def button_down(self, code: int) -> None:
        """Press a mouse button (1 left, 2 middle, 3 right); one that is down stays down and is renewed."""

        def act() -> None:
            now = self._clock()
            if code in self._buttons:
                self._buttons.renew(code, now)
            elif 1 <= code <= LAST_BUTTON:
                self._fake(BUTTON_PRESS, code)
                self._buttons.press(code, code, now)

        self._do(act)

    def button_up(self, code: int) -> None:
        """Release a mouse button; nothing happens when it is not down."""

        def act() -> None:
            if self._buttons.release(code) is not None:
                self._fake(BUTTON_RELEASE, code)

        self._do(act)

    def key_down(self, keysym: int) -> None:
        """Press the key that gives the keysym under the modifiers held now; one that is down is renewed.

        Keysyms that no key gives are put on a spare key first. Locks (Caps_Lock, Num_Lock) are not passed on:
        viewers send the characters they mean, and a lock in the shared server would turn everybody's around.
        """
        known = keysyms.canonical(keysym)
        if known is not None and known not in keysyms.LOCKS:
            self._do(lambda: self._press(known))

    def key_up(self, keysym: int) -> None:
        """Release the key that went down for the keysym, whatever the mapping says by now."""
        known = keysyms.canonical(keysym)

        def act() -> None:
            code = None if known is None else self._keys.release(known)
            if code is not None:
                self._fake(KEY_RELEASE, code)

        self._do(act)

    def keypress(self, *symbols: int) -> None:
        """Let everything go, press these keysyms in order, release them in reverse: a chord or one key."""
        self._do(self._release_all)
        for keysym in symbols:
            self.key_down(keysym)
        for keysym in reversed(symbols):
            self.key_up(keysym)

    def reset(self) -> None:
        """Release every key and button and forget what was waiting."""
        self._drop_waiting()
        self._do(self._release_all)

    def release_forgotten(self) -> None:
        """Release what has been down for the hold limit without being renewed; call it once a second."""

        def act() -> None:
            now = self._clock()
            for code in self._keys.release_expired(now):
                self._fake(KEY_RELEASE, code)
            for code in self._buttons.release_expired(now):
                self._fake(BUTTON_RELEASE, code)

        self._do(act)

    def _release_all(self) -> None:
        for code in self._keys.release_all():
            self._fake(KEY_RELEASE, code)
        for code in self._buttons.release_all():
            self._fake(BUTTON_RELEASE, code)

    def _press(self, keysym: int) -> float | None:
        now = self._clock()
        if keysym in self._keys:
            self._keys.renew(keysym, now)
            return None
        modifiers = self._modifiers()
        code = self._map.find(keysym, modifiers)
        if code is None:
            code = self._spare.find(keysym, modifiers.shift, now)
        if code is None:
            loan = self._spare.lend(keysym, modifiers.shift, now, self._keys.codes)
            if loan is None:
                return self._spare.wait(now, self._keys.codes)
            self._put_symbols(loan.keycode, loan.symbols)
            self._flush()
            return MAPPING_DELAY
        if self._keys.release_code(code):
            self._fake(KEY_RELEASE, code)
        self._fake(KEY_PRESS, code)
        self._keys.press(keysym, code, now)
        return None

    def _modifiers(self) -> Modifiers:
        down = self._keys.names
        return Modifiers(
            shift=bool(down & keysyms.SHIFT),
            level3=bool(down & keysyms.LEVEL3_SHIFT),
            shortcut=bool(down & keysyms.SHORTCUT_MODIFIERS),
        )

    def _clamped(self, x: int, y: int) -> tuple[int, int]:
        width, height = self._size
        return max(0, min(int(x), width - 1)), max(0, min(int(y), height - 1))

    def _do(self, action: Callable[[], object]) -> None:
        """Run the action now, or in its turn when others wait."""
        if self._devices is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            if not self._overflowing:
                log.warning("the X server does not take input; further input is dropped", waiting=MAX_WAITING)
            self._overflowing = True
            return
        self._waiting.append(_as_action(action))
        if self._timer is None:
            self._continue()

    def _continue(self) -> None:
        self._timer = None
        while self._waiting and self._devices is not None:
            if not self._devices.ready():
                self._resume_in(RETRY_INTERVAL)
                return
            delay = self._waiting[0]()
            if delay is not None:
                self._flush()
                self._resume_in(delay)
                return
            self._waiting.popleft()
        self._overflowing = False
        self._flush()

    def _resume_in(self, seconds: float) -> None:
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(seconds, self._continue)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._overflowing = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fake(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        try:
            if self._devices is not None:
                self._devices.fake(kind, detail, x, y)
        except xcffib.XcffibException as error:
            self._lost(error)

    def _put_symbols(self, keycode: int, symbols: tuple[int, int]) -> None:
        try:
            if self._devices is not None:
                self._devices.put_symbols(keycode, symbols)
        except xcffib.XcffibException as error:
            self._lost(error)

    def _flush(self) -> None:
        try:
            if self._devices is not None:
                self._devices.flush()
        except xcffib.XcffibException as error:
            self._lost(error)

    def _lost(self, error: xcffib.XcffibException) -> None:
        log.warning("lost the X server; input is dropped until it is back", error=str(error))
        self.detach()


def _as_action(action: Callable[[], object]) -> Action:
    def act() -> float | None:
        result = action()
        return result if isinstance(result, float) else None

    return act
