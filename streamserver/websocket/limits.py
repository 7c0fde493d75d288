"""Bounds on what one client can make us do. Pure: time comes in by argument."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TokenBucket:
    """Lets `rate` messages per second through on average, and `burst` of them at once."""

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _updated: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float) -> float:
        """Count one message; return how many seconds to wait before handling it (0: none)."""
        if self._updated is not None:
            self._tokens = min(self.burst, self._tokens + max(0.0, now - self._updated) * self.rate)
        self._updated = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.rate)


@dataclass
class LogLimiter:
    """Lets one log line per kind and interval through, and counts the others.

    Kinds are few and chosen by us, never by a client, so this cannot grow.
    """

    interval: float
    """Seconds between two lines of a kind."""
    _last: dict[str, float] = field(default_factory=dict)
    _suppressed: dict[str, int] = field(default_factory=dict)

    def admit(self, kind: str, now: float) -> int | None:
        """Return None for silence, else how many lines were left out since the last one of this kind."""
        last = self._last.get(kind)
        if last is not None and now - last < self.interval:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._suppressed.pop(kind, 0)
