"""Who is logged in: `/api/sessions`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fastapi import APIRouter

from streamserver.api.auth import Admin, CurrentSession
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.wire import SessionBody
from streamserver.sessions.model import Session
from streamserver.webrtc.statistics import MediaStatistics

router = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=AUTHENTICATED)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="sessionsGet")
async def list_sessions(_: CurrentSession, context: Context) -> list[SessionBody]:
    """List all sessions, connected or not."""
    return [SessionBody.of(session) for session in context.sessions.list()]


@router.get("/{session_id}", operation_id="sessionGet", responses=describes(_404="There is no such session."))
async def get_session(session_id: str, _: Admin, context: Context) -> SessionBody:
    """Return one session."""
    if (session := context.sessions.get(session_id)) is None:
        raise ApiError(404, "session not found")
    return SessionBody.of(session)


@runtime_checkable
class HasStatistics(Protocol):
    """A WebRTC connection that knows what it is like; `streamserver.webrtc.peer.Peer`."""

    def statistics(self) -> MediaStatistics:
        """Return the figures of now."""


@router.get(
    "/{session_id}/media",
    operation_id="sessionMedia",
    responses=describes(
        _403="It is another's, and you are no admin.", _404="There is no such session, or it does not watch."
    ),
)
async def get_media(session_id: str, session: CurrentSession, context: Context) -> MediaStatistics:
    """Return what the picture that is sent to a session is like: one's own, or anybody's for admins."""
    if session_id != session.id and not session.profile.is_admin:
        raise ApiError(403, "session is not admin")
    if (target := context.sessions.get(session_id)) is None:
        raise ApiError(404, "session not found")
    media: object = target.media
    if not isinstance(media, HasStatistics):
        raise ApiError(404, "session has no media")
    return media.statistics()


def _target(session_id: str, context: Context) -> Session:
    # 400, not 404: neko's answer to a change of a session that is not there
    if (session := context.sessions.get(session_id)) is None:
        raise ApiError(400, "session not found")
    return session


@router.delete(
    "/{session_id}",
    operation_id="sessionRemove",
    status_code=204,
    responses=describes(_400="There is no such session, or it is your own."),
)
async def delete_session(session_id: str, admin: Admin, context: Context) -> None:
    """End a session: its connections are closed, its token is forgotten."""
    if session_id == admin.id:
        raise ApiError(400, "cannot delete own session")
    context.sessions.delete(_target(session_id, context).id)


@router.post(
    "/{session_id}/disconnect",
    operation_id="sessionDisconnect",
    status_code=204,
    responses=describes(_400="There is no such session."),
)
async def disconnect_session(session_id: str, _: Admin, context: Context) -> None:
    """Close the connections of a session; its token stays good."""
    context.sessions.disconnect(_target(session_id, context).id, "session disconnected")
