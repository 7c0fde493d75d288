"""What happens to sessions, as signals."""

from __future__ import annotations

from streamserver.members.profile import MemberProfile
from streamserver.sessions.model import RoomSettings, Session
from streamserver.signals import AsyncSignal, Signal


class SessionEvents:
    """One signal per event. Listeners run in the order they subscribed, on the event loop."""

    def __init__(self, connecting_deadline: float) -> None:
        """`connecting_deadline`: seconds each listener of `connecting` gets."""
        self.created: Signal[[Session]] = Signal("created")
        """Somebody logged in."""
        self.deleted: Signal[[Session]] = Signal("deleted")
        """A session is gone for good; after its `disconnected`."""
        self.connecting: AsyncSignal[[Session]] = AsyncSignal("connecting", connecting_deadline)
        """A WebSocket is about to be taken: awaited before its client is told anything. Also for one that
        replaces another. Every first `connecting` is followed by exactly one `disconnected`, even when the
        client vanished in between and `connected` never came."""
        self.connected: Signal[[Session]] = Signal("connected")
        """A WebSocket was taken; again, without `disconnected` in between, when it replaced another."""
        self.disconnected: Signal[[Session]] = Signal("disconnected")
        """The session has no WebSocket any more and did not come back in time."""
        self.profile_changed: Signal[[Session, MemberProfile, MemberProfile]] = Signal("profile_changed")
        """New and old profile; what follows from the change comes after."""
        self.state_changed: Signal[[Session]] = Signal("state_changed")
        """Watching began or ended."""
        self.media_closed: Signal[[Session]] = Signal("media_closed")
        """Its WebRTC connection ended and no other took its place."""
        self.controller_changed: Signal[[Session, Session | None]] = Signal("controller_changed")
        """Who brought it about, and who has control now."""
        self.settings_changed: Signal[[Session | None, RoomSettings, RoomSettings]] = Signal(
            "settings_changed"
        )
        """Who brought it about (None: the server), and the new and old rules of the room."""
