"""Who is at the other end, seen through a trusted reverse proxy: an ASGI middleware."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send


def forwarded_address(headers: Mapping[str, str]) -> str | None:
    """Return the client's address as the proxy in front of us reports it; None when it says nothing usable.

    The last entry of X-Forwarded-For is the one our proxy added; those before it are what the client claimed.
    X-Real-IP is set, not appended to, and stands in when there is no X-Forwarded-For.
    """
    entry = (
        headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or headers.get("x-real-ip", "").strip()
    )
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return None


class TrustedProxy:
    """Puts the forwarded address and scheme into the scope. For `server.proxy`: every peer is trusted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        headers = Headers(scope=scope)
        if (address := forwarded_address(headers)) is not None:
            scope["client"] = (address, 0)
        proto = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        if proto in ("http", "https"):
            secure = proto == "https"
            scope["scheme"] = {("http", True): "https", ("http", False): "http"}.get(
                (scope["type"], secure), "wss" if secure else "ws"
            )
        await self._app(scope, receive, send)
