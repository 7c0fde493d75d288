"""Which key gives a keysym in the present keyboard mapping (pure: the mapping comes in)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamserver.desktop import keysyms

_LEVEL3 = 4
"""Column of the core protocol's table at which the symbols with AltGr begin (XKB protocol, 12.3)."""


@dataclass(frozen=True, slots=True)
class Modifiers:
    """Which modifiers are held that change what a key means."""

    shift: bool = False
    level3: bool = False
    shortcut: bool = False


class KeyMap:
    """The keys of a keyboard and the symbols on them."""

    def __init__(self, rows: Mapping[int, Sequence[int]]) -> None:
        """Take the table of GetKeyboardMapping: for each keycode its row of keysyms."""
        self._rows = {keycode: tuple(row) for keycode, row in rows.items()}
        self._keys: dict[int, list[int]] = {}
        for keycode in sorted(self._rows):
            for keysym in {canonical for symbol in self._rows[keycode] if (canonical := _known(symbol))}:
                self._keys.setdefault(keysym, []).append(keycode)

    def unused(self) -> list[int]:
        """Return the keycodes that have no symbol at all."""
        return [keycode for keycode, row in self._rows.items() if not any(row)]

    def symbol(self, keycode: int, modifiers: Modifiers) -> int:
        """Return the keysym that pressing the key gives in group 1, with no lock active."""
        row = self._rows.get(keycode, ())
        first = _LEVEL3 if modifiers.level3 and any(row[_LEVEL3 : _LEVEL3 + 2]) else 0
        plain, shifted = (*row[first : first + 2], 0, 0)[:2]
        if not modifiers.shift:
            return plain
        if shifted:
            return shifted
        pair = keysyms.case_pair(plain)
        return pair[1] if pair and pair[0] == plain else plain

    def find(self, keysym: int, modifiers: Modifiers) -> int | None:
        """Return the key to press so that a program gets this keysym; None when no key gives it now.

        A character must come out exactly under the held modifiers. A modifier or function key is taken
        wherever it is on the keyboard: Shift+Tab is the Tab key, even though the mapping calls that
        ISO_Left_Tab. With Control or Alt held the letter counts, not its case.
        """
        candidates = self._keys.get(keysym, [])
        for keycode in candidates:
            if self.symbol(keycode, modifiers) == keysym:
                return keycode
        if keysym in keysyms.MODIFIERS:
            return candidates[0] if candidates else None
        if keysyms.is_function(keysym):
            return next((code for code in candidates if self._rows[code][0] == keysym), None)
        if modifiers.shortcut and (pair := keysyms.case_pair(keysym)):
            for keycode in self._keys.get(pair[0], []):
                if self.symbol(keycode, Modifiers()) == pair[0]:
                    return keycode
        return None


def _known(symbol: int) -> int | None:
    return keysyms.canonical(symbol) if symbol else None
