"""Whose page a request comes from: pure, on the request's headers.

A browser sends our cookie along by itself, so a request that relies on the cookie must come from our own page
(or one listed in `server.cors`). Requests that carry a token in a header or in the address need no such
check: another site's page does not know the token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""


def listed(origin: str, allowed: Iterable[str]) -> bool:
    """Tell whether `server.cors` names this very origin; `*` names none."""
    return origin.rstrip("/").lower() in {entry.lower() for entry in allowed if entry != "*"}


def cookie_may_count(method: str, headers: Mapping[str, str], allowed: Iterable[str]) -> bool:
    """Tell whether a cookie in a request with these headers speaks for the person.

    `Sec-Fetch-Site` is set by the browser and cannot be forged by a page (Fetch Metadata); older browsers and
    plain HTTP send `Origin` with every request that can change something (Fetch standard §3.2). A request
    with neither is not made by another site's page: browsers add at least one of them.
    """
    origin = headers.get("origin")
    if origin is not None and listed(origin, allowed):
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none") or (method in SAFE_METHODS and origin is None)
    return origin is None or same_host(origin, headers.get("host", ""))


def same_host(origin: str, host: str) -> bool:
    """Tell whether `origin` has this host and port.

    The scheme is not compared: behind a proxy that ends TLS we see http where the browser sees https.
    """
    try:
        parts = urlsplit(origin)
        scheme_port = {"http": 80, "https": 443}.get(parts.scheme)
        theirs = (parts.hostname, parts.port or scheme_port)
        ours = urlsplit(f"{parts.scheme}://{host}")
        return bool(parts.hostname) and theirs == (ours.hostname, ours.port or scheme_port)
    except ValueError:
        return False
