"""The rules of the room: `/api/room/settings`."""

from __future__ import annotations

from fastapi import APIRouter

from streamserver.api.auth import Admin
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, UNPARSABLE, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import RoomSettingsUpdate
from streamserver.sessions.model import BadRoomSettings, RoomSettings

router = APIRouter(
    prefix="/api/room/settings", tags=["room-settings"], route_class=JsonRoute, responses=AUTHENTICATED
)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="settingsGet")
async def get_settings(_: Admin, context: Context) -> RoomSettings:
    """Return all settings of the room."""
    return context.sessions.room


@router.post("/", include_in_schema=False, status_code=204)
@router.post(
    "",
    operation_id="settingsSet",
    status_code=204,
    responses=describes(_400="The body is not an object with settings of the right types."),
)
async def set_settings(admin: Admin, context: Context, update: RoomSettingsUpdate | None = None) -> None:
    """Change some settings of the room; everybody is told."""
    if (
        update is None
    ):  # neko reads this body in another way than others, and so has no "no data provided" here
        raise ApiError(400, UNPARSABLE)
    try:
        context.sessions.update_room(admin, **update.model_dump(exclude_unset=True))
    except BadRoomSettings:
        raise ApiError(400, UNPARSABLE) from None
