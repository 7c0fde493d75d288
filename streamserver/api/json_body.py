"""Reading JSON bodies as neko does: whatever content type the client names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders


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
            return await handle(Request(request.scope, request.receive))

        return handle_as_json
