"""When to encode the next picture. Pure: changes, requests and times come in, decisions come out."""

from __future__ import annotations

from dataclasses import dataclass

KEYFRAME_INTERVAL = 0.3
"""Seconds between two key frames at least; requests that come closer together share one."""

REFINEMENT_LIMIT = 15
"""Pictures encoded at most after the last change to bring a coarse picture up to quality."""

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: encode (a key frame or not), or wait `wait` seconds (None: until something happens)."""

    encode: bool
    keyframe: bool = False
    wait: float | None = None


class VideoSchedule:
    """Decides, for one stream, when a picture is encoded.

    * A change is encoded at once after a quiet time, else at the frame rate's next slot.
    * A key frame is encoded as soon as one is asked for and the last one is `keyframe_interval` ago.
    * When the last picture came out coarser than `settled_qp` (the bit rate did not allow more), the
      unchanged picture is encoded again, until it is settled or `refinement_limit` is reached.
    * Else nothing is encoded: a still screen costs nothing.
    """

    def __init__(
        self,
        fps: float,
        settled_qp: float,
        *,
        keyframe_interval: float = KEYFRAME_INTERVAL,
        refinement_limit: int = REFINEMENT_LIMIT,
    ) -> None:
        self._interval = 1.0 / fps
        self._settled_qp = settled_qp
        self._keyframe_interval = keyframe_interval
        self._refinement_limit = refinement_limit
        self._changed = True
        self._keyframe_wanted = True
        self._refinements_left = 0
        self._next_slot = -NEVER
        self._last_keyframe = -NEVER

    def screen_changed(self) -> None:
        """Note that the screen does not look like the last encoded picture any more."""
        self._changed = True

    def screen_unchanged(self) -> None:
        """Take `screen_changed` back: what changed cannot be seen."""
        self._changed = False

    def keyframe_requested(self) -> None:
        """Note that somebody needs a key frame."""
        self._keyframe_wanted = True

    def next(self, now: float) -> Step:
        """Decide what to do at `now` (seconds of a monotonic clock)."""
        keyframe_at = self._last_keyframe + self._keyframe_interval if self._keyframe_wanted else NEVER
        if now >= keyframe_at:
            return Step(encode=True, keyframe=True)
        picture_at = self._next_slot if self._changed or self._refinements_left else NEVER
        if now >= picture_at:
            return Step(encode=True)
        due = min(keyframe_at, picture_at)
        return Step(encode=False, wait=None if due == NEVER else due - now)

    def encoded(self, now: float, *, keyframe: bool, qp: float) -> None:
        """Note that the picture taken at `now` was encoded with a mean quantiser of `qp` (0 is best)."""
        if self._changed or keyframe:
            self._refinements_left = self._refinement_limit
        elif self._refinements_left:
            self._refinements_left -= 1
        if qp <= self._settled_qp:
            self._refinements_left = 0
        self._changed = False
        if keyframe:
            self._keyframe_wanted = False
            self._last_keyframe = now
        # A slot missed by little does not move the following ones: the mean rate stays what was set.
        late = now - self._next_slot
        slot = self._next_slot if 0 <= late < self._interval / 2 else now
        self._next_slot = slot + self._interval
