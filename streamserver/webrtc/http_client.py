"""The few HTTP requests that we make: small, seldom, and with an end. Blocking; run it in a thread.

`http.client` is enough for them, and what more there is takes longer to import than the whole server to
start.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import WebRTCError


class HttpError(WebRTCError):
    """There was no answer; the message names whom we asked and what went wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(
    method: str,
    url: str,
    *,
    timeout: float,
    max_size: int,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one request; redirections are not followed.

    Args:
        method: GET, POST, …
        url: http or https.
        timeout: seconds for each step: connecting, each read.
        max_size: bytes of the answer's body that are read at most.
        body: of the request.
        headers: of the request.

    Raises:
        HttpError: no answer came, or none that is HTTP.
    """
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname}"
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read(max_size))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise HttpError(f"{where} did not answer: {error or type(error).__name__}") from error
