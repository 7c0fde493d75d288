"""How much one person may say: a token bucket for each session. Pure."""

from __future__ import annotations

from streamserver.sessions.model import SessionId


class Allowance:
    """Lets `burst` messages pass at once and `rate` per second in the long run."""

    def __init__(self, rate: float, burst: int = 10) -> None:
        self._rate = rate
        self._burst = burst
        self._left: dict[SessionId, tuple[float, float]] = {}

    def take(self, sender: SessionId, now: float) -> bool:
        """Whether one more message may pass; `now` in seconds of a clock that does not go back."""
        left, at = self._left.get(sender, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        passes = left >= 1
        self._left[sender] = (left - 1 if passes else left, now)
        return passes

    def forget(self, sender: SessionId) -> None:
        """Keep nothing of somebody who is gone."""
        self._left.pop(sender, None)
