"""Who may take control: the rules as pure functions, and what follows from them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamserver.sessions.manager import SessionManager
    from streamserver.sessions.model import RoomSettings, Session


class ControlDecision(Enum):
    """What a request for control leads to."""

    GRANTED = "granted"
    """The session gets control now."""
    ALREADY = "already"
    """The session has control."""
    REFUSED = "refused"
    """Profile, private mode or a lock forbids it."""
    ASK_CONTROLLER = "ask controller"
    """Somebody else has control and is asked; until they give it away it is a refusal."""


def is_private_for(session: Session, room: RoomSettings) -> bool:
    """Return whether private mode shuts this session out."""
    return room.private_mode and not session.profile.is_admin


def may_control(session: Session, room: RoomSettings) -> bool:
    """Return whether profile and private mode let this session control at all."""
    return session.profile.can_host and not is_private_for(session, room)


def may_send_legacy_input(session: Session, controller: Session | None, room: RoomSettings) -> bool:
    """Return whether input of a version 2 client counts: it has control, or could take it by any click."""
    if not may_control(session, room):
        return False
    if room.locked_controls and not session.profile.is_admin:
        return False
    return controller is session or room.implicit_hosting


def decide_request(session: Session, controller: Session | None, room: RoomSettings) -> ControlDecision:
    """Decide what happens when `session` asks for control (neko's order of rules)."""
    if not may_control(session, room):
        return ControlDecision.REFUSED
    if controller is session:
        return ControlDecision.ALREADY
    if room.locked_controls and not session.profile.is_admin:
        return ControlDecision.REFUSED
    if room.implicit_hosting or controller is None:
        return ControlDecision.GRANTED
    return ControlDecision.ASK_CONTROLLER


def request_control(manager: SessionManager, session: Session, *, ask: bool = True) -> ControlDecision:
    """Decide and act: give control, or ask the controller (unless `ask` is false)."""
    decision = decide_request(session, manager.controller, manager.room)
    if decision is ControlDecision.GRANTED:
        manager.set_controller(session, session)
    elif decision is ControlDecision.ASK_CONTROLLER and ask and manager.controller is not None:
        manager.controller.send("control/request", {"id": session.id})
    return decision


def release_control(manager: SessionManager, session: Session) -> bool:
    """Take control from `session` at its own wish; return whether it had it."""
    if manager.controller is not session:
        return False
    manager.set_controller(session, None)
    return True
