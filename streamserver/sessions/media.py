"""The WebRTC connections of sessions, and whether they watch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from streamserver.sessions.entry import Entry, Schedule
from streamserver.sessions.events import SessionEvents
from streamserver.sessions.model import MediaPeer

MEDIA_END_DELAY = 1.0
"""Seconds between the loss of a right and the end of the WebRTC connection, so that the client has read
why before its picture stops (neko's value)."""


class MediaConnections:
    """Keeps one WebRTC connection per session."""

    def __init__(
        self,
        events: SessionEvents,
        *,
        clock: Callable[[], float],
        schedule: Schedule,
        now: Callable[[], datetime],
    ) -> None:
        self._events = events
        self._clock = clock
        self._schedule = schedule
        self._now = now

    def replace(self, entry: Entry, peer: MediaPeer, *, paused: bool) -> None:
        """Make `peer` the current one and close the one before."""
        previous = entry.session.media
        if previous is peer:
            return
        entry.session.media = peer
        self.set_watching(entry, watching=False)
        if previous is not None:
            previous.close("replaced by a newer connection")
        peer.set_paused(paused)

    def close(self, entry: Entry, reason: str) -> None:
        """End the connection, if there is one; watching ends here and not when it is torn down."""
        peer = entry.session.media
        if entry.media_end is not None:
            entry.media_end.cancel()
            entry.media_end = None
        if peer is None:
            return
        entry.session.media = None
        peer.close(reason)
        self.set_watching(entry, watching=False)
        self._events.media_closed.emit(entry.session)

    def close_soon(self, entry: Entry, reason: str) -> None:
        """End the connection when the client has had the time to read why."""
        if entry.session.media is not None and entry.media_end is None:
            entry.media_end = self._schedule(MEDIA_END_DELAY, lambda: self.close(entry, reason))

    def set_watching(self, entry: Entry, *, watching: bool) -> None:
        """Change the state, and say so if it was another."""
        session = entry.session
        if session.is_watching == watching:
            return
        since = self._now()
        session.state = replace(
            session.state,
            is_watching=watching,
            watching_since=since if watching else None,
            not_watching_since=None if watching else since,
        )
        entry.idle_since = self._clock()
        self._events.state_changed.emit(session)
