"""The picture that is encoded while its viewer still connects. Pure."""

from __future__ import annotations

from streamserver.capture.frames import EncodedFrame

MOST_EARLY = 12
"""Frames that are kept, 0.4 s of a page that moves: more would come late, and a key frame is smaller."""


class EarlyFrames:
    """Keeps the latest key frame and what followed it.

    `missed`: whether a key frame came and could not be kept up to the end, so that another one is needed.
    """

    def __init__(self) -> None:
        self._frames: list[EncodedFrame] = []
        self.missed = False

    def add(self, frame: EncodedFrame) -> None:
        """Keep a frame, or nothing until the next key frame when there would be too many."""
        if frame.keyframe:
            self._frames = [frame]
            self.missed = False
        elif self._frames and len(self._frames) < MOST_EARLY:
            self._frames.append(frame)
        elif self._frames:
            self._frames.clear()
            self.missed = True

    def take(self) -> list[EncodedFrame]:
        """Return what is kept, in order, and keep it no longer."""
        frames, self._frames = self._frames, []
        return frames
