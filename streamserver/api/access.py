"""The outermost layer: one log line and the metrics of each request, and an answer when a handler fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from streamserver.api.errors import error_response
from streamserver.logs import get_logger
from streamserver.redaction import redact_text

log = get_logger("http")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LONGEST_LOGGED = 200
"""Characters of a path or query that a log line shows."""


class AnswerAbandoned(Exception):  # noqa: N818 (no fault)
    """Raised by a `send` whose receiver wants no more of the answer; ends the handler, and is no failure."""


class HttpMetrics:
    """Counts requests by route template, so that the number of series is the number of routes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "catnap_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "catnap_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=registry,
        )


class Access:
    """ASGI middleware around everything else; lets no exception out."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, prefixes: Callable[[], Sequence[str]]) -> None:
        """`prefixes` returns those under which plugins have added routers."""
        self._app = app
        self._metrics = metrics
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except (WebSocketDisconnect, ClientDisconnected):
            pass
        except Exception:
            log.exception("websocket handler failed", path=shown(scope["path"]))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        path, status = scope["path"], 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except AnswerAbandoned:
            pass
        except Exception:
            log.exception(
                "request failed", method=scope["method"], route=route_template(scope, self._prefixes())
            )
            if not status:
                await error_response(500)(scope, receive, watch)
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = route_template(scope, self._prefixes())
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        log.debug(
            "request",
            method=scope["method"],
            path=shown(path),
            query=shown(redact_text(scope["query_string"].decode("latin-1"))),
            status=status,
            ms=round(seconds * 1000, 1),
            client=scope["client"][0] if scope.get("client") else None,
        )


def shown(text: str) -> str:
    """Return the part of a client's text that goes into the log."""
    return text if len(text) <= LONGEST_LOGGED else text[:LONGEST_LOGGED] + "…"


STATIC = "static"
UNKNOWN = "unknown"
ROUTE_LABEL = "catnap.route"
"""Scope key with which a handler that is no route names itself."""


def route_template(scope: Scope, prefixes: Sequence[str]) -> str:
    """Return the path template of the route that served the request, such as `/api/sessions/{session_id}`."""
    if (label := scope.get(ROUTE_LABEL)) is not None:
        return str(label)
    route: BaseRoute | None = scope.get("route")
    template = getattr(route, "path", None)
    if template is None:
        return UNKNOWN
    # FastAPI keeps a router's own path here, without the prefix under which it was included
    regex: re.Pattern[str] = route.path_regex  # type: ignore[union-attr] # whatever has a path has this
    path = scope["path"]
    if regex.match(path):
        return str(template)
    for prefix in prefixes:
        if path.startswith(prefix) and regex.match(path[len(prefix) :]):
            return f"{prefix}{template}"
    return str(template)
