"""The application: routes, the layers around them, and the door for plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi.utils import generate_unique_id
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from streamserver.api import (
    batch,
    errors,
    general,
    login,
    members,
    profile,
    room_broadcast,
    room_clipboard,
    room_control,
    room_keyboard,
    room_screen,
    room_settings,
    room_upload,
    room_whip,
    sessions,
)
from streamserver.api.access import Access, HttpMetrics
from streamserver.api.auth import current_session
from streamserver.api.client_address import TrustedProxy
from streamserver.api.context import ApiContext
from streamserver.api.layers import BodyDeadline, ErrorShape, HeadLimit, PathPrefix, SecurityHeaders
from streamserver.api.openapi import DESCRIPTION, describe, version
from streamserver.api.static import StaticFiles

__all__ = ["ApiContext", "ApiManager", "build_app"]

ROUTERS = (
    login.open_router,
    login.router,
    profile.router,
    sessions.router,
    members.router,
    members.bulk_router,
    room_settings.router,
    room_broadcast.router,
    room_whip.router,
    room_clipboard.router,
    room_keyboard.router,
    room_clipboard.image_router,
    room_control.router,
    room_screen.router,
    general.open_router,
    general.router,
    batch.router,
)

CORS_METHODS = ("GET", "POST", "DELETE", "OPTIONS")
CORS_HEADERS = ("Accept", "Authorization", "Content-Type", "X-CSRF-Token")
CORS_MAX_AGE = 300
"""Seconds a browser remembers a preflight."""


class ApiManager:
    """The whole web application, to which plugins add routes and middleware until it serves."""

    def __init__(self, app: FastAPI, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """`wrap` puts our layers around the routes and the plugins' middleware."""
        self._app = app
        self._wrap = wrap
        self._middleware: list[Callable[[ASGIApp], ASGIApp]] = []
        self._serving: ASGIApp | None = None
        self.prefixes: list[str] = []
        """Prefixes of the routers that were added."""

    def add_router(self, prefix: str, router: APIRouter) -> None:
        """Add routes below `/api` + `prefix`, behind the authentication of a session.

        Handlers get it with `session: CurrentSession` of `streamserver.api.auth`, which has guards too.
        """
        self._include("/api" + prefix, router, authenticated=True)

    def add_root_router(self, prefix: str, router: APIRouter) -> None:
        """Add routes below `prefix` and below `/api` + `prefix`; who may call them is theirs to check."""
        self._include(prefix, router, authenticated=False)
        self._include("/api" + prefix, router, authenticated=False)

    def add_routes(self, routes: Iterable[BaseRoute]) -> None:
        """Add routes at the root that are no part of the OpenAPI document; their bounds are their own."""
        self._check_open("routes")
        self._app.router.routes.extend(routes)

    def add_middleware(self, cls: Callable[..., ASGIApp], **options: Any) -> None:  # options are cls's own
        """Put `cls(app, **options)` around all routes, inside the middleware added before.

        Raises:
            RuntimeError: requests are served already.
        """
        self._check_open("middleware")
        self._middleware.append(lambda app: cls(app, **options))

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self._serving is None:
            inner: ASGIApp = self._app
            for layer in reversed(self._middleware):
                inner = layer(inner)
            self._serving = self._wrap(inner)
        await self._serving(scope, receive, send)

    def _include(self, prefix: str, router: APIRouter, *, authenticated: bool) -> None:
        self._check_open("routes")
        if authenticated:
            responses, dependencies = errors.AUTHENTICATED, [Depends(current_session)]
            self._app.include_router(
                router,
                prefix=prefix,
                dependencies=dependencies,
                responses=responses,
                generate_unique_id_function=generate_unique_id,
            )
        else:
            self._app.include_router(router, prefix=prefix, generate_unique_id_function=generate_unique_id)
        self.prefixes.append(prefix)
        self._app.openapi_schema = None

    def _check_open(self, what: str) -> None:
        if self._serving is not None:
            raise RuntimeError(
                f"{what} can be added only before the first request; do it in the plugin's start()"
            )


def build_app(context: ApiContext) -> ApiManager:
    """Build the application; nothing is started, and plugins may still be added."""
    server = context.settings.server
    prefix = "" if server.path_prefix == "/" else server.path_prefix
    app = FastAPI(
        title="catnap",
        version=version(),
        description=DESCRIPTION,
        servers=[{"url": prefix or "/"}],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=server.max_body_size,
        generate_unique_id_function=_operation_id,
    )
    app.state.context = context
    app.state.screencast = context.screencast  # listens from now on
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(room_upload.make_router(context.settings.desktop.max_upload_size))
    _add_openapi(app, context.settings.session.cookie.name)
    _add_websocket(app, context)
    app.router.default = StaticFiles(server.static)

    metrics = HttpMetrics(context.registry)

    def wrap(inner: ASGIApp) -> ASGIApp:
        inner = ErrorShape(BodyDeadline(inner, server.request_timeout))
        if server.cors:
            inner = _with_cors(inner, server.cors)
        if prefix:
            inner = PathPrefix(inner, prefix)
        if server.proxy:
            inner = TrustedProxy(inner)
        inner = HeadLimit(inner, server.max_header_size)
        return Access(SecurityHeaders(inner), metrics, lambda: manager.prefixes)

    manager = ApiManager(app, wrap)
    app.state.serve = manager.asgi
    return manager


def _operation_id(route: APIRoute) -> str:
    return route.operation_id or route.name


def _add_openapi(app: FastAPI, cookie_name: str) -> None:
    async def document(_: Request) -> Response:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app, cookie_name)
        return JSONResponse(app.openapi_schema)

    for path in ("/openapi.json", "/api/openapi.json"):
        app.add_route(path, document, include_in_schema=False)


def _add_websocket(app: FastAPI, context: ApiContext) -> None:
    async def no_upgrade(_: Request) -> Response:
        return errors.error_response(400)

    app.router.routes.append(WebSocketRoute("/api/ws", context.websocket.endpoint.__call__, name="websocket"))
    app.add_route("/api/ws", no_upgrade, methods=["GET"], include_in_schema=False)


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    everyone = "*" in origins
    return CORSMiddleware(
        app,
        allow_origins=() if everyone else origins,
        allow_origin_regex=".*" if everyone else None,
        allow_methods=CORS_METHODS,
        allow_headers=CORS_HEADERS,
        allow_credentials=True,
        expose_headers=("Link",),
        max_age=CORS_MAX_AGE,
    )
