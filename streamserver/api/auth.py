"""Who makes a request, and what it may do: FastAPI dependencies with neko's messages.

A plugin's routes use the same ones: `def handler(session: CurrentSession)`,
`dependencies=[Depends(require_admin)]`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyQuery, HTTPBearer
from starlette.requests import HTTPConnection

from streamserver.api.context import ApiContext, Context
from streamserver.api.cookies import clearing_header
from streamserver.api.errors import ApiError
from streamserver.api.origin import cookie_may_count
from streamserver.config import Settings
from streamserver.sessions.model import Session

CROSS_ORIGIN = (
    "the cookie does not count for a page of another origin; add the origin to server.cors or send a token"
)


class TokenSource(enum.Enum):
    """Where a request carries its token."""

    HEADER = "header"
    QUERY = "query"
    COOKIE = "cookie"


class Credentials(NamedTuple):
    """A token and where it was."""

    token: str
    source: TokenSource


def find_token(connection: HTTPConnection, cookie_name: str) -> Credentials | None:
    """Return the token a request carries: `Authorization: Bearer`, then `?token=`, then the cookie.

    What a client says explicitly goes before what its browser adds by itself; the WebSocket does the same.
    """
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (token := bearer.strip()):
        return Credentials(token, TokenSource.HEADER)
    if token := connection.query_params.get("token", ""):
        return Credentials(token, TokenSource.QUERY)
    if token := connection.cookies.get(cookie_name, ""):
        return Credentials(token, TokenSource.COOKIE)
    return None


def unauthorized(request: HTTPConnection, settings: Settings) -> ApiError:
    """Return the refusal of an unknown token; a cookie that was sent is cleared."""
    carries_cookie = settings.session.cookie.name in request.cookies
    return ApiError(401, headers={"set-cookie": clearing_header(settings)} if carries_cookie else None)


def check_same_origin(request: HTTPConnection, settings: Settings) -> None:
    """Raise 403 when a cookie in this request must not count (see `origin.py`)."""
    if not cookie_may_count(request.scope["method"], request.headers, settings.server.cors):
        raise ApiError(403, CROSS_ORIGIN)


def authenticate(request: HTTPConnection, context: ApiContext) -> Session:
    """Return the session that makes the request; raises `ApiError` 401 or 403 when there is none that may."""
    credentials = find_token(request, context.settings.session.cookie.name)
    session = context.sessions.by_token(credentials.token) if credentials else None
    if credentials is None or session is None:
        raise unauthorized(request, context.settings)
    if credentials.source is TokenSource.COOKIE:
        check_same_origin(request, context.settings)
    if not session.profile.can_login:
        raise ApiError(403, "login is disabled for this session")
    return session


_bearer = HTTPBearer(
    scheme_name="BearerAuth", description="`Authorization: Bearer <token>`.", auto_error=False
)
_query = APIKeyQuery(name="token", scheme_name="TokenAuth", description="`?token=<token>`.", auto_error=False)
_cookie = APIKeyCookie(
    name="NEKO_SESSION",
    scheme_name="CookieAuth",
    description="The cookie of a login with `cookie: true`; its name is the setting `session.cookie.name`.",
    auto_error=False,
)


async def current_session(
    request: Request,
    context: Context,
    _in_header: Annotated[object, Depends(_bearer)] = None,
    _in_query: Annotated[object, Depends(_query)] = None,
    _in_cookie: Annotated[object, Depends(_cookie)] = None,
) -> Session:
    """Dependency: the session that makes the request; 401 or 403 when there is none that may.

    The three parameters that are not used put the ways to authenticate into the OpenAPI document.
    """
    return authenticate(request, context)


CurrentSession = Annotated[Session, Depends(current_session)]


async def optional_session(request: Request, context: Context) -> Session | None:
    """Dependency: the session that makes the request, or None; never refuses."""
    try:
        return authenticate(request, context)
    except ApiError:
        return None


OptionalSession = Annotated[Session | None, Depends(optional_session)]


def _guard(message: str, allows: Callable[[Session], bool]) -> Callable[[Session], Awaitable[Session]]:
    async def guard(session: CurrentSession) -> Session:
        if not allows(session):
            raise ApiError(403, message)
        return session

    return guard


require_admin = _guard("session is not admin", lambda session: session.profile.is_admin)
"""Dependency: an admin; 403 otherwise."""
require_controller = _guard("session is not host", lambda session: session.is_controller)
"""Dependency: the session in control (neko: host); 403 otherwise."""
require_controller_or_admin = _guard(
    "session is not host or admin", lambda session: session.is_controller or session.profile.is_admin
)
"""Dependency: the session in control, or an admin; 403 otherwise."""
require_can_watch = _guard("session cannot watch", lambda session: session.profile.can_watch)
"""Dependency: may get the picture; 403 otherwise."""
require_clipboard = _guard(
    "session cannot access clipboard", lambda session: session.profile.can_access_clipboard
)
"""Dependency: may use the clipboard; 403 otherwise."""


async def require_can_host(session: CurrentSession, context: Context) -> Session:
    """Dependency: may take control now; 403 without the right, 422 for a non-admin in private mode."""
    if not session.profile.can_host:
        raise ApiError(403, "session cannot host")
    if context.sessions.room.private_mode and not session.profile.is_admin:
        raise ApiError(422, "private mode is enabled")
    return session


Admin = Annotated[Session, Depends(require_admin)]
CanHost = Annotated[Session, Depends(require_can_host)]
CanWatch = Annotated[Session, Depends(require_can_watch)]
