"""When to encode the next picture. Pure: changes, requests and times come in, decisions come out."""

from __future__ import annotations

from dataclasses import dataclass

KEYFRAME_INTERVAL = 0.3
"""Seconds between two key frames at least; requests that come closer together share one."""

EARLY = 1.0
"""Frame intervals by which a change may come before its slot: after a quiet time two may follow each other at
once, since pages show the key first and what it did with the next picture, and none waits for refinement.
"""

MOTION = 0.25
"""Seconds: changes that follow each other within this are motion; a slower pace is that of single events."""

OVERDUE = 2.0
"""Gaps between the last changes after which motion is taken to have ended, and refinement begins. Else a film
of 24 pictures a second would be refined between any two of them, where more are allowed: half as much CPU
again.
"""

REFINEMENT_LIMIT = 60
"""Pictures encoded at most after the last change to bring a coarse picture up to quality."""

REFINEMENT_GAIN = 0.2
"""dB that refinement must gain to go on."""

REFINEMENT_PATIENCE = 4
"""Refinements in a row without such a gain after which it ends: the picture is as good as it gets."""

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: encode (a key frame or not), or wait `wait` seconds (None: until something happens)."""

    encode: bool
    keyframe: bool = False
    wait: float | None = None


class Refinement:
    """How often an unchanged picture is worth encoding again. Quality is PSNR in dB."""

    def __init__(self, settled: float) -> None:
        self._settled = settled
        self._best = -NEVER
        self._patience = 0
        self._left = 0

    @property
    def wanted(self) -> bool:
        """Whether another one is worth it."""
        return self._left > 0 and self._patience > 0

    def begin(self, quality: float) -> None:
        """Note a picture of something new."""
        self._left = 0 if quality >= self._settled else REFINEMENT_LIMIT
        self._patience = REFINEMENT_PATIENCE
        self._best = quality

    def refined(self, quality: float) -> None:
        """Note the same picture encoded again."""
        self._left = 0 if quality >= self._settled else self._left - 1
        if quality >= self._best + REFINEMENT_GAIN:
            self._best = quality
            self._patience = REFINEMENT_PATIENCE
        else:
            self._patience -= 1


class VideoSchedule:
    """Decides, for one stream, when a picture is encoded.

    * A change is encoded at once after a quiet time, and so is the next one; else at the frame rate's next
      slot.
    * A key frame is encoded as soon as one is asked for and the last one is `keyframe_interval` ago.
    * When the last picture is further from the screen than `settled_psnr` (the bit rate did not allow more),
      the unchanged picture is encoded again as long as that helps, once motion has come to rest.
    * Else nothing is encoded: a still screen costs nothing.

    Attributes:
        refinement_interval: seconds between refinements at least.
    """

    def __init__(
        self, fps: float, settled_psnr: float, *, keyframe_interval: float = KEYFRAME_INTERVAL
    ) -> None:
        self._interval = self.refinement_interval = 1.0 / fps
        self._keyframe_interval = keyframe_interval
        self._refinement = Refinement(settled_psnr)
        self._changed = True
        self._keyframe_wanted = True
        self._next_slot = -NEVER
        self._last_keyframe = -NEVER
        self._last_picture = self._last_change = -NEVER
        self._gaps = (NEVER, NEVER)

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
        picture_at = NEVER
        if self._changed:
            picture_at = self._next_slot - EARLY * self._interval
        elif self._refinement.wanted:
            picture_at = max(
                self._next_slot, self._rest_begins, self._last_picture + self.refinement_interval
            )
        if now >= picture_at:
            return Step(encode=True)
        due = min(keyframe_at, picture_at)
        return Step(encode=False, wait=None if due == NEVER else due - now)

    def encoded(self, now: float, *, keyframe: bool, psnr: float) -> None:
        """Note that the picture taken at `now` was encoded, and how near it is to the screen (dB)."""
        self._last_picture = now
        if self._changed:
            self._gaps = self._gaps[1], now - self._last_change
            self._last_change = now
        if self._changed or keyframe:
            self._refinement.begin(psnr)
        else:
            self._refinement.refined(psnr)
        self._changed = False
        if keyframe:
            self._keyframe_wanted = False
            self._last_keyframe = now
        # A slot missed by little does not move the following ones: the mean rate stays what was set.
        late = now - self._next_slot
        slot = self._next_slot if late < self._interval / 2 else now
        self._next_slot = slot + self._interval

    @property
    def _rest_begins(self) -> float:
        """When the screen can be taken to rest: the next change of a motion would have come by then."""
        gap = max(self._gaps)
        return self._last_change + OVERDUE * gap if gap <= MOTION else self._last_change
