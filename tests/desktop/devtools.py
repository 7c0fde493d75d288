"""Looking into Chromium through its DevTools port (Chrome DevTools Protocol)."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect

FLAGS = ("--remote-debugging-port=0",)


def page_url(html: str) -> str:
    """Return an address that shows this HTML without any network."""
    return "data:text/html;charset=utf-8," + quote(html)


class DevTools:
    """One page of a running browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0

    @classmethod
    async def open(cls, profile: Path, within: float = 20.0) -> "DevTools":
        """Connect to the first page of the browser that uses this profile."""
        deadline = time.monotonic() + within
        while True:
            try:
                page = (await pages(profile))[0]
                return cls(await connect(page["webSocketDebuggerUrl"], max_size=None))
            except (OSError, IndexError, ValueError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression (promises awaited)."""
        self._count += 1
        parameters = {
            "expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True,
        }  # fmt: skip
        await self._socket.send(
            json.dumps({"id": self._count, "method": "Runtime.evaluate", "params": parameters})
        )
        while True:
            answer = json.loads(await self._socket.recv())
            if answer.get("id") == self._count:
                assert "exceptionDetails" not in answer["result"], answer
                return answer["result"]["result"].get("value")

    async def until(self, expression: str, within: float = 10.0) -> Any:
        """Return the expression's first truthy value."""
        deadline = time.monotonic() + within
        while not (value := await self.evaluate(expression)):
            assert time.monotonic() < deadline, f"{expression} never became true"
            await asyncio.sleep(0.02)
        return value

    async def close(self) -> None:
        await self._socket.close()


async def pages(profile: Path) -> list[dict[str, str]]:
    """Return the pages the browser shows."""

    def fetch() -> list[dict[str, str]]:
        port = int((profile / "DevToolsActivePort").read_text().split()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
            return [target for target in json.load(answer) if target["type"] == "page"]

    return await asyncio.to_thread(fetch)
