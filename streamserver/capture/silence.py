"""When silence is worth sending. Pure."""

from __future__ import annotations

SILENCE_HOLD = 0.5
"""Seconds of silence that are still sent after sound, so that short gaps between words cost no restart."""


class SilenceGate:
    """Lets sound through and stops after a while of silence.

    A new gate is open: a new listener gets half a second of packets even when nothing plays, so that its
    player sets itself up before there is something to hear.
    """

    def __init__(self, hold: float = SILENCE_HOLD) -> None:
        self._hold = hold
        self._silent = 0.0

    def admit(self, *, silent: bool, duration: float) -> bool:
        """Say whether the next `duration` seconds, silent or not, are to be sent."""
        if not silent:
            self._silent = 0.0
            return True
        self._silent += duration
        return self._silent < self._hold + duration / 2

    def reopen(self) -> None:
        """Begin again, as for a new listener."""
        self._silent = 0.0
