"""The session cookie: what our own page signs in with."""

from __future__ import annotations

from typing import Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response

from streamserver.config import Settings


def is_secure(connection: HTTPConnection) -> bool:
    """Tell whether the client speaks TLS (with `server.proxy`: to the proxy in front of us)."""
    return connection.scope.get("scheme") in ("https", "wss")


def set_cookie(response: Response, connection: HTTPConnection, settings: Settings, token: str) -> None:
    """Give the client the session's token as a cookie.

    It is HttpOnly and SameSite=Strict, and Secure whenever the request came over TLS, so that it works on
    `http://localhost` too. Only in neko's cookie mode with other origins allowed (`session.cookie.enabled`,
    `session.cookie.secure` and `server.cors`) it is SameSite=None: these clients live on another site.
    """
    cookie = settings.session.cookie
    neko_mode = cookie.enabled
    foreign_clients = neko_mode and cookie.secure and bool(settings.server.cors)
    same_site: Literal["strict", "none"] = "none" if foreign_clients else "strict"
    response.set_cookie(
        cookie.name,
        token,
        max_age=int(cookie.expiration),
        path=_path(settings),
        domain=cookie.domain or None,
        secure=is_secure(connection) or foreign_clients,
        httponly=cookie.http_only or not neko_mode,
        samesite=same_site,
    )


def clearing_header(settings: Settings) -> str:
    """Return the value of the `Set-Cookie` header that makes the client forget the cookie."""
    response = Response()
    cookie = settings.session.cookie
    response.delete_cookie(cookie.name, path=_path(settings), domain=cookie.domain or None, httponly=True)
    return response.headers["set-cookie"]


def _path(settings: Settings) -> str:
    return settings.session.cookie.path or settings.server.path_prefix
