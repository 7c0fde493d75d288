"""The desktop's keyboard: `/api/room/keyboard`."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from streamserver.api.auth import require_can_host, require_controller
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import KeyboardMapBody, KeyboardModifiersBody, KeyboardModifiersUpdate
from streamserver.desktop.keyboard import KeyboardError, KeyboardMap

router = APIRouter(
    prefix="/api/room/keyboard",
    tags=["room-keyboard"],
    route_class=JsonRoute,
    dependencies=[Depends(require_can_host)],
    responses={**AUTHENTICATED, **describes(_422="Private mode is on, or there is no such layout.")},
)

_BAD_BODY = describes(_400="The body is absent or not what is expected.")


@router.get("/map", operation_id="keyboardMapGet")
async def get_map(context: Context) -> KeyboardMapBody:
    """Return the keyboard layout."""
    try:
        found = await context.desktop.keyboard.map()
    except KeyboardError as error:
        raise ApiError(422, str(error)) from error
    return KeyboardMapBody(layout=found.layout, variant=found.variant)


@router.post(
    "/map",
    operation_id="keyboardMapSet",
    status_code=204,
    dependencies=[Depends(require_controller)],
    responses=_BAD_BODY,
)
async def set_map(body: KeyboardMapBody, context: Context) -> None:
    """Choose a keyboard layout by XKB's names."""
    try:
        await context.desktop.keyboard.set_map(KeyboardMap(body.layout, body.variant))
    except KeyboardError as error:
        raise ApiError(422, str(error)) from error


@router.get("/modifiers", operation_id="keyboardModifiersGet")
async def get_modifiers(context: Context) -> KeyboardModifiersBody:
    """Return which modifiers are locked."""
    return KeyboardModifiersBody.model_validate(dict(context.desktop.keyboard.modifiers))


@router.post(
    "/modifiers",
    operation_id="keyboardModifiersSet",
    status_code=204,
    dependencies=[Depends(require_controller)],
    responses=_BAD_BODY,
)
async def set_modifiers(body: KeyboardModifiersUpdate, context: Context) -> None:
    """Lock or unlock modifiers; what is absent or null stays as it is."""
    context.desktop.keyboard.set_modifiers(body.model_dump(exclude_none=True))
