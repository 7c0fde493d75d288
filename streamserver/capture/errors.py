"""What capture raises."""

from __future__ import annotations


class CaptureError(Exception):
    """Capturing or encoding is not possible; the message names what is missing and how to get it."""


class ScreenLostError(CaptureError):
    """The X server does not answer, or lacks what capture needs."""


class SoundLostError(CaptureError):
    """The sound recorder ended or could not be started."""


class NoPictureError(CaptureError):
    """There is no picture to show; the message says why."""


class BroadcastError(CaptureError):
    """The broadcast cannot begin; the message says why."""
