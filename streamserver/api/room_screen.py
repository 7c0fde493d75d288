"""The size of the browser's screen: `/api/room/screen`."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from streamserver.api.auth import Admin, CanWatch, require_can_watch
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import ScreenBody
from streamserver.config.types import ScreenSize
from streamserver.desktop.errors import DesktopError

router = APIRouter(
    prefix="/api/room/screen",
    tags=["room-screen"],
    route_class=JsonRoute,
    dependencies=[Depends(require_can_watch)],
    responses=AUTHENTICATED,
)


def _body(screen: ScreenSize) -> ScreenBody:
    return ScreenBody(width=screen.width, height=screen.height, rate=screen.rate)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="screenConfiguration")
async def get_screen(_: CanWatch, context: Context) -> ScreenBody:
    """Return the screen size."""
    return _body(context.desktop.screen)


@router.post("/", include_in_schema=False)
@router.post(
    "",
    operation_id="screenConfigurationChange",
    responses=describes(
        _400="The body is absent or not a screen size.", _422="The display has no such size."
    ),
)
async def set_screen(screen: ScreenBody, admin: Admin, context: Context) -> ScreenBody:
    """Change the screen size.

    The answer repeats the request; `screen/updated` on the WebSocket has the size that was really set
    (the width is rounded down to a multiple of 8).
    """
    try:
        await context.websocket.set_screen(admin, ScreenSize(screen.width, screen.height, screen.rate))
    except (DesktopError, ValueError) as error:
        raise ApiError(422, "cannot set screen size") from error
    return screen


@router.get("/configurations", operation_id="screenConfigurationsList")
async def list_screens(_: Admin, context: Context) -> list[ScreenBody]:
    """List the sizes the display offers."""
    return [_body(screen) for screen in context.desktop.screen_configurations()]
