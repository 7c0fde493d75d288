"""Which keys and buttons are down, and which have been for too long (pure)."""

from dataclasses import dataclass, field

HOLD_LIMIT = 10.0
"""Seconds after which a key or button that nobody renewed counts as forgotten (neko: 10 s)."""


@dataclass(slots=True)
class Held:
    """What is down: names (keysyms or button numbers) with the code that was sent for each."""

    limit: float = HOLD_LIMIT
    _codes: dict[int, int] = field(default_factory=dict)
    _renewed: dict[int, float] = field(default_factory=dict)

    def __contains__(self, name: int) -> bool:
        return name in self._codes

    @property
    def names(self) -> frozenset[int]:
        """What is down."""
        return frozenset(self._codes)

    @property
    def codes(self) -> frozenset[int]:
        """The codes of what is down."""
        return frozenset(self._codes.values())

    def renew(self, name: int, now: float) -> None:
        """Say that it is still held."""
        if name in self._codes:
            self._renewed[name] = now

    def press(self, name: int, code: int, now: float) -> None:
        """Note that it went down as that code."""
        self._codes[name] = code
        self._renewed[name] = now

    def release(self, name: int) -> int | None:
        """Return the code it went down with and forget it; None when it was not down."""
        self._renewed.pop(name, None)
        return self._codes.pop(name, None)

    def release_code(self, code: int) -> bool:
        """Forget whatever is down as that code; return whether anything was."""
        names = [name for name, held in self._codes.items() if held == code]
        for name in names:
            self.release(name)
        return bool(names)

    def release_expired(self, now: float) -> list[int]:
        """Forget what nobody renewed for the limit and return its codes, latest first."""
        names = [name for name, renewed in self._renewed.items() if now - renewed >= self.limit]
        return [code for name in reversed(names) if (code := self.release(name)) is not None]

    def release_all(self) -> list[int]:
        """Forget everything and return its codes, latest first (modifiers were pressed first)."""
        codes = list(reversed(self._codes.values()))
        self._codes.clear()
        self._renewed.clear()
        return codes
