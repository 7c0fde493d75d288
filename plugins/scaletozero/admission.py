"""Who gets in at the gate's routes: FastAPI dependencies around the rules of `callers.py`."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from plugins.scaletozero.callers import Network, is_trusted, made_by_page
from streamserver.plugins.http import ApiError, Context, TokenSource, authenticate, find_token

NO_PAGES = "web pages may not change scale-to-zero; use `catnap scaletozero`, or a program that sends a token"
NO_COOKIE = "the cookie does not count here; send a token"
NOT_ADMIN = "session is not admin"


class Admission:
    """Lets admins in, and callers of trusted networks."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        """`trusted` are the networks whose callers need no credentials."""
        self._trusted = trusted

    async def to_change(self, request: Request, context: Context) -> None:
        """Dependency: let somebody pin, unpin, take or drop a lease; 401 or 403 otherwise.

        A web page is refused with any credentials, and a cookie does not count: only browsers have cookies.
        """
        if made_by_page(request.headers):
            raise ApiError(403, NO_PAGES)
        if self._is_trusted(request):
            request.state.caller = str(request.client and request.client.host)
            return
        credentials = find_token(request, context.settings.session.cookie.name)
        if credentials is not None and credentials.source is TokenSource.COOKIE:
            raise ApiError(403, NO_COOKIE)
        _let_admin_in(request, context)

    async def to_ask(self, request: Request, context: Context) -> None:
        """Dependency: let somebody read the evidence; 401 or 403 otherwise.

        An admin's page may, by its cookie. Being on a trusted network is not enough for a page.
        """
        if made_by_page(request.headers) or not self._is_trusted(request):
            _let_admin_in(request, context)

    def _is_trusted(self, request: Request) -> bool:
        server = request.scope.get("server")
        return is_trusted(request.client and request.client.host, server and server[0], self._trusted)


def caller(request: Request) -> str:
    """Return for people who it is that `to_change` has let in."""
    name: str = request.state.caller
    return name


def _let_admin_in(request: Request, context: Context) -> None:
    session = authenticate(request, context)
    if not session.profile.is_admin:
        raise ApiError(403, NOT_ADMIN)
    request.state.caller = session.profile.name or session.id
