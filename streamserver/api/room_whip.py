"""The room's picture and sound to a media server by WHIP, for admins: `/api/room/whip`."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import TypeAdapter, ValidationError

from streamserver.api.auth import require_admin
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import WhipBody, WhipRequest
from streamserver.config.types import HttpUrl
from streamserver.webrtc.egress import EgressError

router = APIRouter(
    prefix="/api/room/whip",
    tags=["room-whip"],
    route_class=JsonRoute,
    dependencies=[Depends(require_admin)],
    responses=AUTHENTICATED,
)

_URL: TypeAdapter[str] = TypeAdapter(HttpUrl)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="whipStatus")
async def get_status(context: Context) -> WhipBody:
    """Tell whether the room is published, where to, and how that goes."""
    status = context.egress.status
    return WhipBody(
        state=status.state.value,
        url=status.url or None,
        error=status.error or None,
        connections=status.connections,
        bytes_sent=status.bytes_sent,
        round_trip=status.round_trip,
        fraction_lost=status.fraction_lost,
    )


@router.post(
    "/start",
    operation_id="whipStart",
    status_code=204,
    responses=describes(
        _400="The body is absent, or names no URL of http or https and none is set.",
        _422="It runs already, or there is no such video.",
    ),
)
async def start(body: WhipRequest, context: Context) -> None:
    """Begin to publish to this endpoint; it is tried again and again until it is stopped."""
    configured = context.settings.webrtc.whip
    url, token = body.url, body.token
    if not url:
        url, token = configured.url, token or configured.token.get_secret_value()
    if not url:
        raise ApiError(400, "missing WHIP URL")
    try:
        _URL.validate_python(url)
    except ValidationError:
        raise ApiError(400, "not a URL of http or https") from None
    try:
        context.egress.start(url, token, body.video or configured.video)
    except EgressError as error:
        raise ApiError(422, str(error)) from error


@router.post("/stop", operation_id="whipStop", status_code=204, responses=describes(_422="It does not run."))
async def stop(context: Context) -> None:
    """End it; the media server is told."""
    if not await context.egress.stop():
        raise ApiError(422, "the room is not published")
