"""Who controls the browser: `/api/room/control`."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from streamserver.api.auth import Admin, CanHost, require_can_host, require_controller_or_admin
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes, error_response
from streamserver.api.wire import ControlBody

router = APIRouter(
    prefix="/api/room/control",
    tags=["room-control"],
    dependencies=[Depends(require_can_host)],
    responses={**AUTHENTICATED, **describes(_422="The room is in private mode.")},
)


@router.get("/", include_in_schema=False)
@router.get("", operation_id="controlStatus")
async def control_status(_: CanHost, context: Context) -> ControlBody:
    """Tell who is in control."""
    controller = context.sessions.controller
    return ControlBody(has_host=controller is not None, host_id=controller.id if controller else None)


@router.post(
    "/request",
    operation_id="controlRequest",
    status_code=204,
    response_model=None,
    responses=describes(_202="Somebody is in control and has been asked.", _403="Controls are locked."),
)
async def request_control(session: CanHost, context: Context) -> JSONResponse | None:
    """Take control when nobody has it; otherwise ask whoever has."""
    controller = context.sessions.controller
    if controller is not None:
        controller.send("control/request", {"id": session.id})
        return error_response(202, "control request sent")
    if context.sessions.room.locked_controls and not session.profile.is_admin:
        raise ApiError(403, "controls are locked")
    context.sessions.set_controller(session, session)
    return None


@router.post(
    "/release",
    operation_id="controlRelease",
    status_code=204,
    responses=describes(_422="The session has no control."),
)
async def release_control(session: CanHost, context: Context) -> None:
    """Give control up."""
    if not session.is_controller:
        raise ApiError(422, "session is not the host")
    context.sessions.set_controller(session, None)


@router.post("/take", operation_id="controlTake", status_code=204)
async def take_control(admin: Admin, context: Context) -> None:
    """Take control from whoever has it."""
    context.sessions.set_controller(admin, admin)


@router.post(
    "/give/{session_id}",
    operation_id="controlGive",
    status_code=204,
    dependencies=[Depends(require_controller_or_admin)],
    responses=describes(_400="That session may not control.", _404="There is no such session."),
)
async def give_control(session_id: str, giver: CanHost, context: Context) -> None:
    """Hand control to another session."""
    target = context.sessions.get(session_id)
    if target is None:
        raise ApiError(404, "target session was not found")
    if not target.profile.can_host:
        raise ApiError(400, "target session is not allowed to host")
    context.sessions.set_controller(giver, target)


@router.post("/reset", operation_id="controlReset", status_code=204)
async def reset_control(admin: Admin, context: Context) -> None:
    """Take control from whoever has it and leave it to nobody."""
    if context.sessions.controller is not None:
        context.sessions.set_controller(admin, None)
