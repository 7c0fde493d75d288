"""Which token a WebSocket carries, and whether its page may use the cookie. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamserver.api.origin import cookie_may_count


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, and whether the browser added it by itself."""

    token: str
    from_cookie: bool


def find_token(
    headers: Mapping[str, str], query: Mapping[str, str], cookies: Mapping[str, str], cookie_name: str
) -> Credentials | None:
    """Return the token: `Authorization: Bearer`, then `?token=`, then the cookie; as for the REST routes."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (token := bearer.strip()):
        return Credentials(token, from_cookie=False)
    if token := query.get("token", ""):
        return Credentials(token, from_cookie=False)
    if token := cookies.get(cookie_name, ""):
        return Credentials(token, from_cookie=True)
    return None


def origin_allowed(credentials: Credentials | None, headers: Mapping[str, str], cors: Iterable[str]) -> bool:
    """Tell whether these credentials count for the page that opened the WebSocket.

    Browsers let every page open a WebSocket to every server and add the cookie, so one that rests on the
    cookie must come from our own page or one in `server.cors`. A token in the address or in a header is
    known only to whom it was given.
    """
    if credentials is None or not credentials.from_cookie:
        return True
    return cookie_may_count("CONNECT", headers, cors)
