"""Asks a page of the network which address we are seen under."""

from __future__ import annotations

import asyncio
import ipaddress

from .addresses import Address
from .errors import WebRTCError
from .http_client import HttpError, fetch

TIMEOUT = 5.0
"""Seconds for the whole question."""

MAX_ANSWER = 256
"""Bytes; an address has 39 at most."""


class PublicAddressError(WebRTCError):
    """The address is not known; the message says what the page answered."""


async def public_address(url: str) -> Address:
    """Return the address that the page shows as plain text.

    Raises:
        PublicAddressError: it cannot be reached, or shows something else.
    """
    try:
        answer = await asyncio.to_thread(fetch, "GET", url, timeout=TIMEOUT, max_size=MAX_ANSWER)
    except HttpError as error:
        raise PublicAddressError(str(error)) from error
    text = answer.body.decode("utf-8", "replace").strip()
    if answer.status != 200:
        raise PublicAddressError(f"{url} answered with status {answer.status}")
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise PublicAddressError(f"{url} answered {text[:40]!r}, which is no address") from error
