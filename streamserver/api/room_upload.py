"""Files of viewers for pages of the shared browser: `/api/room/upload`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import BinaryIO

from fastapi import APIRouter, Depends, Request
from fastapi.datastructures import FormData
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from streamserver.api.auth import CurrentSession
from streamserver.api.context import ApiContext, Context
from streamserver.api.errors import AUTHENTICATED, ApiError, Responses, describes
from streamserver.desktop.errors import DesktopError
from streamserver.sessions.control import may_control

MAX_FILES = 100
"""Files of one request."""
MAX_FIELDS = 10
"""Other parts of one request."""

Files = list[tuple[str, BinaryIO]]


async def require_uploader(session: CurrentSession, context: Context) -> None:
    """Dependency: has control, or could take it by clicking; 403 otherwise."""
    room = context.sessions.room
    if not session.is_controller and not (room.implicit_hosting and may_control(session, room)):
        raise ApiError(403, "without implicit hosting, only host can upload files")


def make_router(max_size: int) -> APIRouter:
    """Return the routes, which take requests up to `max_size` bytes."""
    router = APIRouter(
        prefix="/api/room/upload",
        tags=["room-upload"],
        dependencies=[Depends(require_uploader)],
        responses=AUTHENTICATED,
    )
    router.add_api_route(
        "/drop", drop_files, methods=["POST"], operation_id="uploadDrop", status_code=204,
        openapi_extra=_form(x={"type": "integer"}, y={"type": "integer"}),
        responses=_answers("No page is there, or it does not take the files."), max_body_size=max_size,
    )  # fmt: skip
    router.add_api_route(
        "/dialog", answer_dialog, methods=["POST"], operation_id="uploadDialog", status_code=204,
        openapi_extra=_form(), responses=_answers("No page asks for files."), max_body_size=max_size,
    )  # fmt: skip
    router.add_api_route(
        "/dialog", cancel_dialog, methods=["DELETE"], operation_id="uploadDialogClose", status_code=204,
        responses=_answers("No page asks for files."),
    )  # fmt: skip
    return router


async def drop_files(request: Request, context: Context) -> None:
    """Drop files on what is at the point `x`, `y` of the screen, in px."""
    if not context.settings.desktop.upload_drop:
        raise ApiError(400, "upload drop is disabled")
    async with _form_of(request) as form:
        x, y = _coordinate(form, "x"), _coordinate(form, "y")
        await _do(context.desktop.drop(_files(form), x, y))


async def answer_dialog(request: Request, context: Context) -> None:
    """Give files to the page that asks for some."""
    _check_dialog(context)
    async with _form_of(request) as form:
        await _do(context.desktop.answer_dialog(_files(form)))


async def cancel_dialog(context: Context) -> None:
    """Tell the page that asks for files that it gets none."""
    _check_dialog(context)
    await _do(context.desktop.file_chooser.cancel())


def _check_dialog(context: ApiContext) -> None:
    if not context.settings.desktop.file_chooser_dialog:
        raise ApiError(400, "file chooser dialog is disabled")
    if not context.desktop.file_chooser.is_open:
        raise ApiError(422, "file chooser dialog is not open")


@asynccontextmanager
async def _form_of(request: Request) -> AsyncIterator[FormData]:
    """Read the form; its files lie in temporary ones that have no name, until the block ends."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(400, "failed to parse multipart form")
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise ApiError(400, "failed to parse multipart form") from error
    try:
        yield form
    finally:
        await form.close()


def _coordinate(form: FormData, name: str) -> int:
    value = form.get(name)
    try:
        number = int(value) if isinstance(value, str) and len(value) <= 10 else None
    except ValueError:
        number = None
    if number is None:
        raise ApiError(400, f"no {name.upper()} coordinate received")
    return number


def _files(form: FormData) -> Files:
    files = [
        (part.filename or "", part.file) for part in form.getlist("files") if isinstance(part, UploadFile)
    ]
    if not files:
        raise ApiError(400, "no files received")
    return files


async def _do(work: Awaitable[None]) -> None:
    try:
        await work
    except DesktopError as error:
        raise ApiError(422, str(error)) from error


def _answers(refused: str) -> Responses:
    return describes(
        _400="This is switched off, or the form lacks something.",
        _413="More than `desktop.max_upload_size`.",
        _422=refused,
    )


def _form(**fields: dict[str, str]) -> dict[str, object]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    schema = {
        "type": "object", "properties": {**fields, "files": files}, "required": [*fields, "files"],
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
