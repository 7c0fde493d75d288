"""The desktop's clipboard, for whoever has control: `/api/room/clipboard`."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from streamserver.api.auth import require_clipboard, require_controller
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, NO_DATA, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import ClipboardBody
from streamserver.desktop.clipboard import ClipboardError, ClipboardText

router = APIRouter(
    prefix="/api/room/clipboard",
    tags=["room-clipboard"],
    route_class=JsonRoute,
    dependencies=[Depends(require_clipboard), Depends(require_controller)],
    responses={
        **AUTHENTICATED,
        **describes(_422="The clipboard cannot be read or set; the message says why."),
    },
)
image_router = APIRouter(
    prefix="/api/room/clipboard",
    tags=["room-clipboard"],
    dependencies=[Depends(require_clipboard), Depends(require_controller)],
    responses={
        **AUTHENTICATED,
        **describes(_422="The clipboard cannot be read or set; the message says why."),
    },
)

NO_CACHE = {"cache-control": "no-cache, no-store, must-revalidate"}
"""Headers of a picture that is another one each time."""

PNG_BODY = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
"""How the OpenAPI document says: a PNG."""


@router.get("/", include_in_schema=False)
@router.get("", operation_id="clipboardGetText")
async def get_clipboard(context: Context) -> ClipboardBody:
    """Return text and HTML that are in the clipboard; what is not in it is left out."""
    try:
        content = await context.desktop.clipboard.read()
    except ClipboardError as error:
        raise ApiError(422, str(error)) from error
    return ClipboardBody(text=content.text or None, html=content.html or None)


@router.post("/", include_in_schema=False, status_code=204)
@router.post(
    "",
    operation_id="clipboardSetText",
    status_code=204,
    responses=describes(_400="The body is absent, or not an object with texts."),
)
async def set_clipboard(content: ClipboardBody, context: Context) -> None:
    """Put text, HTML or both into the clipboard."""
    try:
        await context.desktop.clipboard.write(ClipboardText(content.text or "", content.html or ""))
    except ClipboardError as error:
        raise ApiError(422, str(error)) from error


@image_router.get(
    "/image.png",
    operation_id="clipboardGetImage",
    response_class=Response,
    responses={200: {"content": PNG_BODY}, **describes(_404="There is no picture in the clipboard.")},
)
async def get_image(context: Context) -> Response:
    """Return the picture that is in the clipboard."""
    try:
        png = await context.desktop.clipboard.read_image()
    except ClipboardError as error:
        raise ApiError(422, str(error)) from error
    if png is None:
        raise ApiError(404, "there is no image in the clipboard")
    return Response(png, media_type="image/png", headers=NO_CACHE)


@image_router.post(
    "/image.png",
    operation_id="clipboardSetImage",
    status_code=204,
    openapi_extra={"requestBody": {"required": True, "content": PNG_BODY}},
    responses=describes(_400="The body is absent."),
)
async def set_image(request: Request, context: Context) -> None:
    """Put a picture into the clipboard; ours, neko has no such route."""
    png = await request.body()
    if not png:
        raise ApiError(400, NO_DATA)
    try:
        await context.desktop.clipboard.write_image(png)
    except ClipboardError as error:
        raise ApiError(422, str(error)) from error
