"""The browser's screen, its size and pictures of it: `/api/room/screen`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from streamserver.api.auth import Admin, CanWatch, require_can_watch
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, Responses, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.room_clipboard import NO_CACHE
from streamserver.api.screencast import PrivateError
from streamserver.api.wire import ScreenBody
from streamserver.capture.errors import NoPictureError
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


JPEG: Responses = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}
"""How the OpenAPI document says: a JPEG."""


@router.get(
    "/cast.jpg",
    operation_id="screenCastImage",
    response_class=Response,
    responses={
        **JPEG,
        **describes(
            _400="`capture.screencast.enabled` is off, or private mode has no picture to show.",
            _503="The screen gives no picture.",
        ),
    },
)
async def get_cast(session: CanWatch, context: Context) -> Response:
    """Return a recent picture of the screen; in private mode all but admins get the one from before."""
    if not context.screencast.enabled:
        raise ApiError(400, "screencast pipeline is not enabled")
    try:
        image = await context.screencast.image(session)
    except PrivateError:
        raise ApiError(400, "private mode is enabled but no fallback image available") from None
    except NoPictureError as error:
        raise ApiError(503, str(error)) from error
    return Response(image, media_type="image/jpeg", headers=NO_CACHE)


@router.get(
    "/shot.jpg",
    operation_id="screenShotImage",
    response_class=Response,
    responses={**JPEG, **describes(_400="The quality is no number.", _503="The screen gives no picture.")},
)
async def get_shot(_: Admin, context: Context, quality: Annotated[int, Query(ge=1, le=100)] = 90) -> Response:
    """Return the screen of now; `quality` is that of the JPEG, from 1 to 100."""
    try:
        image = await context.stills.shot(quality)
    except NoPictureError as error:
        raise ApiError(503, str(error)) from error
    return Response(image, media_type="image/jpeg", headers=NO_CACHE)
