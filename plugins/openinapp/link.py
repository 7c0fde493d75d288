"""Which links are opened. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

LONGEST = 2048
"""Characters of a link; programs get it as an argument."""
BAD_SCHEME = "URL must use http or https scheme"
"""neko's words."""


class BadLink(ValueError):  # noqa: N818 (it says what the link is)
    """A link that is not opened; the sentence says why."""


def check_link(text: str) -> str:
    """Return the link as it is opened. Raises `BadLink`."""
    link = text.strip()
    if len(link) > LONGEST:
        raise BadLink(f"the URL has {len(link)} characters; {LONGEST} are allowed")
    if any(character.isspace() or not character.isprintable() for character in link):
        raise BadLink("the URL has a space or a control character in it")
    try:
        parts = urlsplit(link)
    except ValueError:
        raise BadLink("the URL cannot be read") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise BadLink(BAD_SCHEME)
    if not parts.hostname:
        raise BadLink("the URL names no host")
    return link
