"""A client that speaks the protocol without a browser, for looking at the order of things."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from .running_server import RunningServer


def login(server: RunningServer, name: str = "ann", password: str = "test-user") -> str:
    """Log in and return the token."""
    answer = httpx.post(f"{server.url}api/login", json={"username": name, "password": password})
    answer.raise_for_status()
    token: str = answer.json()["token"]
    return token


@contextlib.asynccontextmanager
async def socket(server: RunningServer, token: str) -> AsyncIterator[ClientConnection]:
    """Open the WebSocket of a session."""
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(f"ws://127.0.0.1:{server.port}/api/ws", additional_headers=headers) as connection:
        yield connection


async def receive(connection: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    message: dict[str, Any] = json.loads(await connection.recv())
    return message


async def receive_event(connection: ClientConnection, event: str) -> dict[str, Any]:
    """Return the next message of one kind and drop those before it."""
    while (message := await receive(connection))["event"] != event:
        pass
    return message
