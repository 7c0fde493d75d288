"""The rules of the room, who controls the browser, and how the one follows from the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import JsonValue

from streamserver.sessions.control import is_private_for, may_control
from streamserver.sessions.events import SessionEvents
from streamserver.sessions.model import RoomSettings, Session


class RoomRules:
    """Owns the settings of the room and the controller."""

    def __init__(
        self, room: RoomSettings, events: SessionEvents, sessions: Callable[[], Iterable[Session]]
    ) -> None:
        """`sessions`: all there are."""
        self.room = room
        self.controller: Session | None = None
        self._events = events
        self._sessions = sessions

    def set_controller(self, actor: Session, session: Session | None) -> None:
        """Give control to `session`, or to nobody, at the wish of `actor`."""
        previous = self.controller
        if previous is None and session is None:
            return
        if previous is not None:
            previous.is_controller = False
        self.controller = session
        if session is not None:
            session.is_controller = True
        self._events.controller_changed.emit(actor, session)

    def update(self, actor: Session | None, **changes: JsonValue) -> RoomSettings:
        """Change the settings, with everything that follows; raises `BadRoomSettings`."""
        old = self.room
        new = self.room = old.merge(changes)
        if new.private_mode != old.private_mode:
            for session in self._sessions():
                self.pause(session)
            self.take_from_forbidden(actor)
        protection_began = new.control_protection and not old.control_protection
        if protection_began and not new.locked_controls and not self._admin_connected():
            new = self.room = new.model_copy(update={"locked_controls": True})
        if new.locked_controls and not old.locked_controls:
            self.take_from_forbidden(actor)
        self._events.settings_changed.emit(actor, new, old)
        return new

    def pause(self, session: Session) -> None:
        """Stop or go on with picture and sound, as private mode says."""
        if session.media is not None:
            session.media.set_paused(is_private_for(session, self.room))

    def take_from_forbidden(self, actor: Session | None) -> None:
        """Take control from a controller that may not have it any more."""
        controller = self.controller
        if controller is None:
            return
        locked = self.room.locked_controls and not controller.profile.is_admin
        if locked or not may_control(controller, self.room):
            self.set_controller(actor or controller, None)

    def admin_came(self, session: Session) -> None:
        """Unlock protected controls if `session` is a connected admin."""
        protected = self.room.control_protection and self.room.locked_controls
        if protected and session.is_connected and session.profile.is_admin:
            self.update(session, locked_controls=False)

    def somebody_left(self, session: Session) -> None:
        """Take control from one that left, and lock protected controls when no admin is left."""
        if self.controller is session and not session.is_connected:
            self.set_controller(session, None)
        room = self.room
        if room.control_protection and not room.locked_controls and not self._admin_connected():
            self.update(session, locked_controls=True)

    def _admin_connected(self) -> bool:
        return any(session.is_connected and session.profile.is_admin for session in self._sessions())
