"""One's own profile: `/api/profile`."""

from __future__ import annotations

from fastapi import APIRouter

from streamserver.api.auth import CurrentSession
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, UNPARSABLE, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.member_bodies import ProfileUpdate
from streamserver.members.profile import BadProfileError

router = APIRouter(prefix="/api", tags=["current-session"], route_class=JsonRoute, responses=AUTHENTICATED)


@router.post(
    "/profile",
    operation_id="profile",
    responses=describes(
        _400="The body is absent or not what is expected, or this is the API token, which has no session."
    ),
)
async def update_own_profile(session: CurrentSession, context: Context, profile: ProfileUpdate) -> bool:
    """Change one's own profile until the session ends: an admin all of it, anybody else the name alone.

    For all but admins a name that is absent is an empty one, as in neko.
    """
    if context.sessions.get(session.id) is not session:
        raise ApiError(400, "session does not exist")
    changes = profile.changes() if session.profile.is_admin else {"name": profile.name or ""}
    try:
        changed = session.profile.merge(changes)
    except BadProfileError:
        raise ApiError(400, UNPARSABLE) from None
    context.sessions.update_profile(session, changed)
    return True
