"""A running server with one plugin in it, and people who are connected to it by real WebSockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect

from streamserver.plugins.contract import Managers, NoDesktop, Plugin, SharedDesktop
from tests.api.running import Running, running

DEADLINE = 5.0


class Person:
    """Somebody with a token and a WebSocket."""

    def __init__(self, name: str, token: str, connection: ClientConnection) -> None:
        self.name = name
        self.token = token
        self.connection = connection

    async def send(self, event: str, payload: object = None) -> None:
        await self.connection.send(json.dumps({"event": event, "payload": payload}))

    async def hear(self, event: str) -> Any:
        """Return the payload of the next message with this event."""
        async with asyncio.timeout(DEADLINE):
            while True:
                message = json.loads(await self.connection.recv())
                if message["event"] == event:
                    return message.get("payload")

    async def heard(self, event: str) -> list[Any]:
        """Return the payloads of this event that came before all that was sent so far was handled."""
        await self.send("send/unicast", {"receiver": self.name, "subject": "barrier"})
        found: list[Any] = []
        async with asyncio.timeout(DEADLINE):
            while (message := json.loads(await self.connection.recv()))["event"] != "send/unicast":
                if message["event"] == event:
                    found.append(message.get("payload"))
        return found


@dataclass
class Hosted:
    """The server and the people in it."""

    server: Running
    plugin: Plugin
    people: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def join(
        self, name: str, *, admin: bool = False, plugins: Mapping[str, object] | None = None
    ) -> Person:
        """Log somebody in and connect; the greetings are still to be heard."""
        _, token = self.server.log_in(name, admin=admin, plugins=dict(plugins) if plugins else None)
        url = f"{self.server.url.replace('http', 'ws')}/api/ws?token={token}"
        return Person(name, token, await self.people.enter_async_context(connect(url)))


@asynccontextmanager
async def hosting(
    plugin: Plugin,
    settings: BaseModel,
    run_dir: Path,
    *,
    desktop: SharedDesktop | None = None,
    **sections: Any,
) -> AsyncIterator[Hosted]:
    """Run a server with this plugin alone."""
    async with running(sections) as server:
        managers = Managers(
            sessions=server.sessions,
            websocket=server.context.websocket,
            api=server.api,
            registry=server.context.registry,
            run_dir=run_dir,
            health=server.context.health,
            desktop=desktop or NoDesktop(),
        )
        hosted = Hosted(server, plugin)
        try:
            await plugin.start(managers, settings)
            async with hosted.people:
                yield hosted
        finally:
            await plugin.shutdown()
