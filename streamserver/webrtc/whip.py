"""WHIP's HTTP: a stream is published with one POST and ended with one DELETE (RFC 9725)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from .errors import WebRTCError
from .http_client import Answer, HttpError, fetch
from .session_description import MAX_DESCRIPTION_SIZE

TIMEOUT = 10.0
"""Seconds for each step of a request."""

MAX_REDIRECTIONS = 3
"""Servers in front of others send a publisher on (RFC 9725 §4.5)."""


class WhipError(WebRTCError):
    """The endpoint does not take the stream; the message says what it answered.

    `retry_after`: seconds that it wants to be left alone; 0 if it did not say.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Published:
    """What the endpoint answered. `resource`: URL by which the stream is ended; empty if it named none."""

    answer: str
    resource: str


async def publish(url: str, token: str, offer: str) -> Published:
    """Offer a stream.

    Args:
        url: of the WHIP endpoint.
        token: that it wants as a bearer; empty if none.
        offer: an SDP with all candidates in it.

    Raises:
        WhipError: it cannot be reached or does not take the stream.
    """
    target = url
    for _ in range(1 + MAX_REDIRECTIONS):
        headers = {"Content-Type": "application/sdp", "Accept": "application/sdp"}
        if _may_see_token(target, url):
            headers |= _authorization(token)
        answer = await _request("POST", target, offer.encode(), headers)
        location = answer.headers.get("location", "")
        if answer.status not in (307, 308) or not location:
            break
        target = urljoin(target, location)
        if urlsplit(target).scheme not in ("http", "https"):
            raise WhipError(f"{_place(url)} sends us on to {target[:60]!r}")
    if answer.status != 201:
        raise WhipError(
            f"{_place(target)} answered with status {answer.status}: {_excerpt(answer)}", _retry_after(answer)
        )
    sdp = answer.body.decode("utf-8", "replace")
    return Published(sdp, urljoin(target, location) if location else "")


async def end(resource: str, url: str, token: str) -> None:
    """End a stream; `url` is where it was published.

    Raises:
        WhipError: the server cannot be reached, or will not.
    """
    headers = _authorization(token) if _may_see_token(resource, url) else {}
    answer = await _request("DELETE", resource, None, headers)
    if answer.status >= 300 and answer.status != 404:
        raise WhipError(f"{_place(resource)} answered with status {answer.status}: {_excerpt(answer)}")


async def _request(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    try:
        return await asyncio.to_thread(
            fetch, method, url, timeout=TIMEOUT, max_size=MAX_DESCRIPTION_SIZE, body=body, headers=headers
        )
    except HttpError as error:
        raise WhipError(str(error)) from error


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _may_see_token(target: str, url: str) -> bool:
    """Whether it is the server that the token is for."""
    here, there = urlsplit(url), urlsplit(target)
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def _place(url: str) -> str:
    """Return who it is, without what may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _excerpt(answer: Answer) -> str:
    text = answer.body[:200].decode("utf-8", "replace")
    return " ".join(text.split())[:100] or "no reason given"


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 300.0) if text.isascii() and text.isdigit() else 0.0
