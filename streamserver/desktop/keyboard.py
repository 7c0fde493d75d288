"""The display's keyboard layout, and modifiers that stay on without being held."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

import xcffib
import xcffib.xproto

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.input import Input
from streamserver.desktop.x11 import XDisplay
from streamserver.logs import get_logger

PROGRAM = "setxkbmap"
SET_TIMEOUT = 5.0
"""Seconds the program that loads a layout gets."""
_NAME = re.compile(r"[A-Za-z0-9_-]{0,32}(,[A-Za-z0-9_-]{0,32}){0,3}", re.ASCII)
_RULES_PROPERTY = "_XKB_RULES_NAMES"
_RULES_LENGTH = 256

LOCKABLE = {"shift": 1, "control": 4, "alt": 8, "meta": 32, "super": 64, "altgr": 128}
"""Bits of the modifiers that can be locked (Shift, Control, Mod1, Mod3 to Mod5)."""
REMEMBERED = ("capslock", "numlock")
"""Modifiers that are only remembered: viewers send the characters they mean, which a lock would turn."""

log = get_logger("desktop")


class KeyboardError(DesktopError):
    """The layout cannot be read or set; the message says why."""


@dataclass(frozen=True, slots=True)
class KeyboardMap:
    """A layout and its variant by XKB's names, such as `de` and `nodeadkeys`."""

    layout: str
    variant: str = ""


class Keyboard:
    """Layout and locked modifiers. Which keys are down is `Input`'s."""

    def __init__(self, keys: Input, account: Account) -> None:
        """Take what presses keys, and who runs the program that loads layouts."""
        self._input = keys
        self._account = account
        self._display: XDisplay | None = None
        self._turn = asyncio.Lock()
        self._locked = dict.fromkeys((*LOCKABLE, *REMEMBERED), False)

    def attach(self, display: XDisplay) -> None:
        """Belong to this display, whose keyboard has just begun without locks."""
        self._display = display
        self._locked = dict.fromkeys(self._locked, False)

    @property
    def modifiers(self) -> Mapping[str, bool]:
        """Which modifiers are locked, by neko's names."""
        return dict(self._locked)

    def set_modifiers(self, changes: Mapping[str, bool | None]) -> None:
        """Lock and unlock modifiers; what is absent, None or unknown stays as it is. Never waits."""
        mask = values = 0
        for name, on in changes.items():
            if on is None or name not in self._locked:
                continue
            self._locked[name] = on
            mask |= LOCKABLE.get(name, 0)
            values |= LOCKABLE.get(name, 0) if on else 0
        if mask:
            self._input.lock_modifiers(mask, values)

    def unlock(self) -> None:
        """Unlock all, so that whoever controls next begins with none."""
        if any(self._locked.values()):
            self.set_modifiers(dict.fromkeys(self._locked, False))

    async def map(self) -> KeyboardMap:
        """Return the layout.

        Raises:
            KeyboardError: the display does not say.
        """
        try:
            return await asyncio.to_thread(_read_map, self._there())
        except (DesktopError, xcffib.XcffibException) as error:
            raise KeyboardError(f"the keyboard layout cannot be read: {error!r}") from error

    async def set_map(self, wanted: KeyboardMap) -> None:
        """Load another layout.

        Raises:
            KeyboardError: there is no such layout, or it cannot be loaded.
        """
        if not _NAME.fullmatch(wanted.layout) or not _NAME.fullmatch(wanted.variant) or not wanted.layout:
            raise KeyboardError(f"{wanted.layout!r} {wanted.variant!r} is no name of a keyboard layout")
        display = self._there()
        async with self._turn:
            self._input.reset()
            await self._load(display, wanted)
            self._input.reload_mapping()

    async def _load(self, display: XDisplay, wanted: KeyboardMap) -> None:
        other = None if self._account.is_ourselves else self._account
        try:
            child = await asyncio.create_subprocess_exec(
                PROGRAM, "-layout", wanted.layout, "-variant", wanted.variant,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", **display.environment()}, cwd="/",
                user=other.uid if other else None, group=other.gid if other else None,
                extra_groups=other.groups if other else None,
            )  # fmt: skip
        except OSError as error:
            raise KeyboardError(f"cannot run {PROGRAM}: {error} (apt install x11-xkb-utils)") from error
        try:
            async with asyncio.timeout(SET_TIMEOUT):
                _output, complaint = await child.communicate()
        except TimeoutError:
            raise KeyboardError(f"{PROGRAM} did not end within {SET_TIMEOUT:g} s") from None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode:
            log.debug("layout refused", complaint=complaint[:500].decode(errors="replace"))
            raise KeyboardError(f"there is no keyboard layout {wanted.layout!r} {wanted.variant!r}")

    def _there(self) -> XDisplay:
        if self._display is None:
            raise KeyboardError("there is no display")
        return self._display


def _read_map(display: XDisplay) -> KeyboardMap:
    """Read what setxkbmap leaves on the root window: rules, model, layout, variant and options."""
    connection = display.connect()
    try:
        core = xcffib.xproto.xprotoExtension(connection)
        root = connection.get_setup().roots[connection.pref_screen].root
        name = core.InternAtom(False, len(_RULES_PROPERTY), _RULES_PROPERTY).reply().atom
        reply = core.GetProperty(False, root, name, xcffib.xproto.Atom.STRING, 0, _RULES_LENGTH).reply()
        parts = bytes(reply.value.raw).decode("latin-1").split("\0") + [""] * 4
        return KeyboardMap(parts[2] or "us", parts[3])
    finally:
        connection.disconnect()
