"""The real listener, application and gate with a few routes of the test's own; callers with bare sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin
from plugins.scaletozero.settings import ScaleToZeroSettings
from streamserver.plugins.contract import Managers
from tests.api.raw import RawClient
from tests.api.running import Running, running
from tests.network import Namespace
from tests.scaletozero.server_parts import CommandPipe

UNREAD = 24_000
"""Bytes of an answer that a peer with a small receive buffer cannot take, and our kernel can."""
SMALL_BUFFER = 2048
COOLDOWN = 0.05


@dataclass
class Handlers:
    """The test's routes, below `/test`."""

    pipe: CommandPipe
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets `/test/wait` and `/test/wait-and-fail` end."""
    began: int = 0
    ended: int = 0
    seen: list[str] = field(default_factory=list)
    """What the control file had been told when a handler began."""

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.get("/sized")
        async def sized(size: int = 0, status: int = 200) -> Response:
            with self._running():
                return Response(bytes(size), status)

        @router.get("/wait")
        async def wait(size: int = 0) -> Response:
            with self._running():
                await self.go_on.wait()
                return Response(bytes(size))

        @router.get("/fail")
        async def fail() -> Response:
            with self._running():
                raise RuntimeError("as the test wants it")

        @router.get("/wait-and-fail")
        async def wait_and_fail() -> Response:
            with self._running():
                await self.go_on.wait()
                raise RuntimeError("as the test wants it")

        return router

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        self.began += 1
        self.seen.append(self.pipe.commands)
        try:
            yield
        finally:
            self.ended += 1


@dataclass
class Serving:
    """A server with the gate."""

    running: Running
    handlers: Handlers
    pipe: CommandPipe
    plugin: ScaleToZeroPlugin

    @property
    def port(self) -> int:
        return self.running.http.port

    @property
    def commands(self) -> str:
        return self.pipe.commands

    @property
    def requests(self) -> int:
        """How many request holds there are."""
        return int(
            self.running.context.registry.get_sample_value("scaletozero_holds", {"kind": "request"}) or 0
        )

    @property
    def labels(self) -> list[str]:
        assert self.plugin._controller is not None
        return [hold.label for hold in self.plugin._controller.snapshot().holds]

    @property
    def connections(self) -> int:
        """How many connections the listener has."""
        server = self.running.http._server
        assert server is not None
        return len(server.server_state.connections)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    control_file: Path | None = None,
    server: Mapping[str, object] | None = None,
    scheme: str = "http",
    **gate: object,
) -> AsyncIterator[Serving]:
    """Serve at every address; `gate` are settings of the gate."""
    pipe = CommandPipe(folder / "pipe")
    plugin = ScaleToZeroPlugin()
    sections = {"server": {"bind": "0.0.0.0:0", **(server or {})}}
    try:
        async with running(sections, scheme=scheme) as run:
            handlers = Handlers(pipe)
            run.api.add_root_router("/test", handlers.router())
            managers = Managers(
                sessions=run.sessions,
                websocket=run.context.websocket,
                api=run.api,
                registry=run.context.registry,
                run_dir=folder / "run",
                health=run.context.health,
            )
            section = {
                "enabled": True,
                "control_file": control_file or pipe.path,
                "cooldown": COOLDOWN,
            } | gate
            await plugin.start(managers, ScaleToZeroSettings.model_validate(section))
            try:
                yield Serving(run, handlers, pipe, plugin)
            finally:
                handlers.go_on.set()
                await plugin.shutdown()
    finally:
        pipe.close()


class Caller(RawClient):
    """A client with a bare socket."""

    async def get(self, path: str, *headers: str) -> None:
        """Send a request and read nothing."""
        head = "".join(f"{header}\r\n" for header in headers)
        await self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())

    async def read(self, size: int) -> bytes:
        """Read exactly so much, or to the end."""
        data = b""
        while len(data) < size and (piece := await self.receive(min(size - len(data), 65536))):
            data += piece
        return data

    async def read_answer(self) -> tuple[int, bytes]:
        """Read one whole answer: status and body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = await self.receive(1)
            assert piece, f"the connection ended after {head!r}"
            head += piece
        (length,) = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        return int(head.split()[1]), await self.read(length)

    def reset(self) -> None:
        """End the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@asynccontextmanager
async def caller(
    namespace: Namespace | None, port: int, *, buffer: int | None = None
) -> AsyncIterator[Caller]:
    """Connect from the other host, or from this one."""
    connection = namespace.tcp_socket() if namespace else socket.socket()
    try:
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.setblocking(False)
        address = (namespace.gateway if namespace else "127.0.0.1", port)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, address), 10)
        yield Caller(connection)
    finally:
        connection.close()


def descriptors() -> int:
    """Return how many file descriptors this process has open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
