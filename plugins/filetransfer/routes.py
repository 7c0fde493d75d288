"""Files over HTTP: `/api/filetransfer`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from plugins.filetransfer.directory import NoSuchFile, SharedDirectory
from plugins.filetransfer.download import FileResponse
from plugins.filetransfer.form import FIELD, BadForm
from plugins.filetransfer.names import BadName
from plugins.filetransfer.settings import FileTransferSettings
from plugins.filetransfer.upload import NoSpace, TooLarge, Upload
from streamserver.logs import get_logger
from streamserver.plugins.http import ApiError, CurrentSession, describes
from streamserver.sessions.model import Session

log = get_logger("filetransfer")

DISABLED = "file transfer is disabled"
BAD_NAME = "bad filename"
BAD_FORM = "error parsing form"
NOT_FOUND = "file not found"
"""neko's words."""

UNBOUNDED = 2**62
"""For the server's own bound on bodies: ours is another, and says which setting it is."""

_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": [FIELD],
                }
            }
        },
    }
}


def router(
    directory: SharedDirectory,
    settings: FileTransferSettings,
    enabled: Callable[[Session], bool],
    changed: Callable[[], None],
) -> APIRouter:
    """Return the routes; `enabled` says whether somebody has file transfer, `changed` is told of changes."""

    def guard(right: str, *, for_all: bool) -> Callable[..., Awaitable[None]]:
        async def allowed(session: CurrentSession) -> None:
            if not enabled(session):
                raise ApiError(403, DISABLED)
            if not for_all and not session.profile.is_admin:
                raise ApiError(403, f"file {right} is not allowed for non-admin users")

        return allowed

    routes = APIRouter(tags=["filetransfer"])

    @routes.get(
        "",
        operation_id="filetransferDownload",
        response_class=Response,
        dependencies=[Depends(guard("download", for_all=settings.user_download))],
        responses=describes(_400="The name is empty or a path.", _404="There is no such file.")
        | {200: {"content": {"application/octet-stream": {}}, "description": "The file."}},
    )
    async def download(request: Request, filename: str = "") -> Response:
        """Send a file, or the one range of bytes that is asked for."""
        try:
            descriptor = await asyncio.to_thread(directory.open, filename)
        except BadName as error:
            raise ApiError(400, BAD_NAME) from error
        except (NoSuchFile, PermissionError):
            return PlainTextResponse("404 page not found\n", 404)
        return FileResponse(descriptor, filename, request.headers)

    @routes.post(
        "",
        operation_id="filetransferUpload",
        response_class=Response,
        max_body_size=UNBOUNDED,
        dependencies=[Depends(guard("upload", for_all=settings.user_upload))],
        responses=describes(
            _400="The body is no form with files, or a file's name is not possible.",
            _413="The body is larger than `filetransfer.max_upload`.",
            _500="The directory cannot be written; the log says why.",
            _507="The disk is full.",
        ),
        openapi_extra=_UPLOAD,
    )
    async def upload(request: Request, session: CurrentSession) -> Response:
        """Receive files; one that has the name already is replaced, when the new one is complete."""
        _check_length(request, settings.max_upload)
        receiving = Upload(directory, settings.max_upload)
        try:
            await receiving.receive(request.headers.get("content-type", ""), request.stream())
        except (BadForm, BadName) as error:
            raise _hasty(400, BAD_FORM if isinstance(error, BadForm) else f"{BAD_NAME}: {error}") from error
        except ClientDisconnect:
            raise _hasty(400, BAD_FORM) from None
        except TooLarge:
            raise _too_large(settings.max_upload) from None
        except NoSpace as error:
            log.warning("upload refused, the disk is full", dir=str(directory.path), session=session.id)
            raise _hasty(507, "no space left for the file") from error
        except OSError as error:
            log.warning("directory cannot be written", dir=str(directory.path), reason=str(error))
            raise _hasty(500, "the directory cannot be written") from error
        finally:
            changed()
        log.info("files received", session=session.id, files=len(receiving.received))
        return Response()

    @routes.delete(
        "",
        operation_id="filetransferDelete",
        response_class=Response,
        dependencies=[Depends(guard("delete", for_all=settings.user_delete))],
        responses=describes(_400="The name is empty or a path.", _404="There is no such file."),
    )
    async def delete(session: CurrentSession, filename: str = "") -> Response:
        """Delete a file."""
        try:
            await asyncio.to_thread(directory.delete, filename)
        except BadName as error:
            raise ApiError(400, BAD_NAME) from error
        except NoSuchFile:
            raise ApiError(404, NOT_FOUND) from None
        changed()
        log.info("file deleted", session=session.id)
        return Response()

    return routes


def _check_length(request: Request, largest: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > largest:
        raise _too_large(largest)


def _too_large(largest: int) -> ApiError:
    return _hasty(413, f"the upload has more than the {largest} bytes that filetransfer.max_upload allows")


def _hasty(status: int, message: str) -> ApiError:
    """Return a refusal that comes before the whole body has; the rest of it is nobody's."""
    return ApiError(status, message, {"connection": "close"})
