"""The room's picture and sound to an RTMP server, for admins: `/api/room/broadcast`."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from streamserver.api.auth import require_admin
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import BroadcastBody, BroadcastRequest
from streamserver.capture.errors import BroadcastError

router = APIRouter(
    prefix="/api/room/broadcast",
    tags=["room-broadcast"],
    route_class=JsonRoute,
    dependencies=[Depends(require_admin)],
    responses=AUTHENTICATED,
)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="broadcastStatus")
async def get_status(context: Context) -> BroadcastBody:
    """Tell whether the room is broadcast, and where to."""
    status = context.broadcast.status
    return BroadcastBody(url=status.url or None, is_active=status.is_active)


@router.post(
    "/start",
    operation_id="broadcastStart",
    status_code=204,
    responses=describes(
        _400="The body is absent or names no URL.",
        _422="It runs already, the URL is none of RTMP, or the server does not take the stream.",
    ),
)
async def start(body: BroadcastRequest, context: Context) -> None:
    """Begin to broadcast to this URL; the answer comes when the server takes the stream."""
    if not body.url:
        raise ApiError(400, "missing broadcast URL")
    try:
        await context.broadcast.start(body.url)
    except BroadcastError as error:
        raise ApiError(422, str(error)) from error


@router.post(
    "/stop", operation_id="broadcastStop", status_code=204, responses=describes(_422="It does not run.")
)
async def stop(context: Context) -> None:
    """End the broadcast."""
    if not await context.broadcast.stop():
        raise ApiError(422, "server is not broadcasting")
