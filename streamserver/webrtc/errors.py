"""What can go wrong here that somebody else has to hear of."""

from __future__ import annotations


class WebRTCError(Exception):
    """Base of this room's errors."""


class PortError(WebRTCError):
    """The UDP port cannot be had; the message says which and what to do."""


class SignalError(WebRTCError):
    """A viewer's signalling message cannot be used; the message is one sentence for that viewer's log."""
