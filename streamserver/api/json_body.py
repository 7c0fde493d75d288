"""Reading JSON bodies as neko does: whatever content type the client names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

from streamserver.api.errors import UNPARSABLE, ApiError


class JsonRoute(APIRoute):
    """A route whose body is JSON even when the client says nothing, or something else, about its type.

    neko's clients and `curl -d` leave the type out or send the one of a form.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, behind a step that names the content type."""
        handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle_as_json(request: Request) -> Response:
            headers = MutableHeaders(scope=request.scope)
            headers["content-type"] = "application/json"
            try:
                return await handle(Request(request.scope, request.receive))
            except HTTPException as error:
                if error.status_code != 400 or isinstance(error, ApiError):
                    raise
                # FastAPI's own words for a body that is no text, or nested too deeply
                raise ApiError(400, UNPARSABLE) from error

        return handle_as_json
