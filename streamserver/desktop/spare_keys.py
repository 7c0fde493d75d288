"""Keys without a symbol of their own, lent to keysyms that no key has (pure)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from streamserver.desktop import keysyms

MIN_REUSE_AGE = 0.3
"""Seconds a lent key keeps its symbol at least: programs look the symbol up when they get to the event."""


@dataclass(slots=True)
class _Slot:
    symbols: tuple[int, int]
    used_at: float


@dataclass(frozen=True, slots=True)
class Loan:
    """A key and the symbols to put on it, without and with Shift."""

    keycode: int
    symbols: tuple[int, int]


class SpareKeys:
    """Lends keys, least recently used first, and never one that is down."""

    def __init__(self, keycodes: Iterable[int], min_reuse_age: float = MIN_REUSE_AGE) -> None:
        self._free = list(keycodes)
        self._slots: dict[int, _Slot] = {}
        self._min_reuse_age = min_reuse_age

    @property
    def keycodes(self) -> frozenset[int]:
        """Every key that is or could be lent."""
        return frozenset(self._free) | self._slots.keys()

    @property
    def lent(self) -> list[int]:
        """The keys that have a symbol now."""
        return list(self._slots)

    def find(self, keysym: int, shift: bool, now: float) -> int | None:
        """Return the key that already gives the keysym, and count it as used."""
        for keycode, slot in self._slots.items():
            if slot.symbols[shift] == keysym:
                slot.used_at = now
                return keycode
        return None

    def lend(self, keysym: int, shift: bool, now: float, down: Collection[int]) -> Loan | None:
        """Return a key to put the keysym on, or None when every one is down or too recently used."""
        keycode = self._free.pop(0) if self._free else self._oldest(now, down)
        if keycode is None:
            return None
        symbols = (keysym, keysym)
        pair = keysyms.case_pair(keysym)
        if pair is not None and pair[shift] == keysym:
            symbols = pair
        self._slots[keycode] = _Slot(symbols, now)
        return Loan(keycode, symbols)

    def wait(self, now: float, down: Collection[int]) -> float | None:
        """Return in how many seconds a key can be lent; None when only a key-up can free one."""
        if self._free:
            return 0.0
        ages = [slot.used_at for keycode, slot in self._slots.items() if keycode not in down]
        return max(0.0, min(ages) + self._min_reuse_age - now) if ages else None

    def _oldest(self, now: float, down: Collection[int]) -> int | None:
        idle = [(slot.used_at, keycode) for keycode, slot in self._slots.items() if keycode not in down]
        if not idle:
            return None
        used_at, keycode = min(idle)
        return keycode if now >= used_at + self._min_reuse_age else None  # as `wait` counts, to the last bit
