"""The files of the page, at every path that is no route."""

from __future__ import annotations

import re
import stat
from email.utils import formatdate
from functools import partial
from hashlib import sha256
from mimetypes import guess_type
from os import stat_result
from pathlib import Path

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from streamserver.api.access import ROUTE_LABEL, STATIC
from streamserver.api.errors import not_found

BUNDLED = Path(__file__).resolve().parent.parent / "web"
"""The page that comes with the server."""

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Types that must not depend on the machine's own table: with `nosniff` a wrong one breaks the page."""

_HIDDEN = re.compile(r"(^|/)(\.|__init__\.py|__pycache__)")
"""Dot files, and what Python leaves behind; not every underscore, with which bundlers begin names."""

OWN_PAGE_POLICY = "object-src 'none'"
"""The Content-Security-Policy of a page that the operator brings.

What such a page loads, and who frames it, is its own affair: neko's, for one, puts styles into the document,
has fonts, asks another site for news and may be embedded. Ours has the strict policy of every other answer.
"""


class StaticFiles:
    """Serves the files below `root`: GET and HEAD, ETag and 304, `index.html` for directories.

    Nothing outside `root` is ever served, whatever the path says and wherever symbolic links point.
    Browsers keep files but ask each time (`no-cache`), so that a new version is seen at once.
    """

    def __init__(self, root: Path | None) -> None:
        """`root` is the directory of the operator's own page; None serves ours."""
        self._root = (root or BUNDLED).resolve()
        self._policy = {} if root is None else {"content-security-policy": OWN_PAGE_POLICY}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = await self._respond(scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return not_found()
        found = await anyio.to_thread.run_sync(partial(find_file, self._root, scope["path"]))
        if found is None:
            return not_found()
        path, status = found
        scope[ROUTE_LABEL] = STATIC
        etag = (
            f'"{sha256(f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}".encode()).hexdigest()[:24]}"'
        )
        headers = {
            "etag": etag,
            "last-modified": formatdate(status.st_mtime, usegmt=True),
            "cache-control": "no-cache",
            **self._policy,
        }
        if etag in [
            tag.strip().removeprefix("W/") for tag in Headers(scope=scope).get("if-none-match", "").split(",")
        ]:
            return Response(status_code=304, headers=headers)
        kind = _TYPES.get(path.suffix.lower()) or guess_type(path.name)[0] or "application/octet-stream"
        return FileResponse(path, headers=headers, media_type=kind, stat_result=status)


def find_file(root: Path, url_path: str) -> tuple[Path, stat_result] | None:
    """Return the regular file below `root` that a decoded URL path names, and its status; None for none."""
    relative = url_path.lstrip("/")
    if "\0" in relative or "\\" in relative or _HIDDEN.search(relative):
        return None
    try:
        path = (root / relative).resolve()
        if relative == "" or relative.endswith("/"):
            path = (path / "index.html").resolve()
        if not path.is_relative_to(root):
            return None
        status = path.stat()
    except (OSError, ValueError, RuntimeError):
        return None
    return (path, status) if stat.S_ISREG(status.st_mode) else None
