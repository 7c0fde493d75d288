"""A client of neko's version 2, of our own making."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from tests.api.running import Running

DEADLINE = 5.0


class Version2:
    """What a page of version 2 sends and keeps."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.heard: list[dict[str, Any]] = []

    async def send(self, event: str, **fields: object) -> None:
        await self._socket.send(json.dumps({"event": event, **fields}))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            message: dict[str, Any] = json.loads(await self._socket.recv())
        self.heard.append(message)
        return message

    async def until(self, event: str) -> dict[str, Any]:
        """Return the next message with this event."""
        while (message := await self.receive())["event"] != event:
            pass
        return message

    async def close(self) -> None:
        await self._socket.close()


@asynccontextmanager
async def version2(server: Running, name: str, password: str) -> AsyncIterator[Version2]:
    query = urlencode({"password": password, "username": name})
    url = f"ws://127.0.0.1:{server.http.port}/ws?{query}"
    async with connect(url, open_timeout=DEADLINE, close_timeout=1) as socket:
        yield Version2(socket)
