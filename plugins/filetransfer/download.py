"""Sending a file from its open descriptor, so that whoever replaces it meanwhile changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from plugins.filetransfer.byte_range import ByteRange, RangeNotSatisfiable, wanted

PIECE = 256 * 1024
"""Bytes read at a time."""


class FileResponse(Response):
    """One file, or the part of it that was asked for. Closes the descriptor."""

    def __init__(self, descriptor: int, filename: str, headers: Mapping[str, str]) -> None:
        """`headers` are the request's."""
        self._descriptor = descriptor
        facts = os.fstat(descriptor)
        etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        status, part = 200, ByteRange(0, facts.st_size)
        answer = {
            "accept-ranges": "bytes",
            "etag": etag,
            "last-modified": formatdate(facts.st_mtime, usegmt=True),
            "cache-control": "private, no-cache",
            # never shown in our own origin, whatever it is
            "content-disposition": f"attachment; filename*=utf-8''{quote(filename, safe='')}",
        }
        try:
            asked = wanted(headers.get("range"), facts.st_size)
            if asked is not None and headers.get("if-range", etag) == etag:
                status, part = 206, asked
                answer["content-range"] = f"bytes {part.start}-{part.stop - 1}/{facts.st_size}"
        except RangeNotSatisfiable:
            status, part = 416, ByteRange(0, 0)
            answer["content-range"] = f"bytes */{facts.st_size}"
        if headers.get("if-none-match") == etag:
            status, part = 304, ByteRange(0, 0)
        else:
            answer["content-length"] = str(part.stop - part.start)
        self._part = part
        super().__init__(None, status, answer, "application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A file that got shorter meanwhile ends the connection: the client shall notice."""
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            position, stop = self._part.start, self._part.stop
            while position < stop:
                piece = await asyncio.to_thread(
                    os.pread, self._descriptor, min(PIECE, stop - position), position
                )
                if not piece:
                    break
                position += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            os.close(self._descriptor)
