"""Listens on the unix socket, which only its owner may open, and on a loopback port where one is set."""

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from hostagent.api.app import LimitBody, RequireToken
from hostagent.api.connections import BoundedHttp
from hostagent.errors import HostError
from hostagent.settings import ApiSettings

_START_DEADLINE = 10.0
MOST_CONNECTIONS = 512
"""Connections to one listener; whoever comes beyond them is answered 503."""


class ApiServer:
    """The listening side of the API."""

    def __init__(self, api: FastAPI, path: Path, settings: ApiSettings) -> None:
        self._path = path
        self._settings = settings
        limited = LimitBody(api, settings.max_body)
        self._servers = [(_uvicorn(limited), self._unix)]
        if settings.bind:
            guarded = RequireToken(limited, settings.token.get_secret_value())
            self._servers.append((_uvicorn(guarded), self._tcp))
        self._running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
        self.port: int | None = None
        """The port of `api.bind`, once it listens."""

    async def start(self) -> None:
        """Listen; raises HostError naming the address that is taken."""
        for server, listen in self._servers:
            listener = listen()
            task = asyncio.create_task(server.serve([listener]), name="api")
            self._running.append((server, task))
            deadline = asyncio.get_running_loop().time() + _START_DEADLINE
            while not server.started:
                if task.done() or asyncio.get_running_loop().time() > deadline:
                    raise HostError("the API does not start")
                await asyncio.sleep(0.005)

    def _unix(self) -> socket.socket:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists() and stat.S_ISSOCK(self._path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(str(self._path))
                raise HostError(f"another agent answers at {self._path}; only one runs with a run_dir")
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        except OSError as error:
            raise HostError(f"cannot listen at {self._path}: {error}") from error
        finally:
            os.umask(before)
        listener.listen(128)
        return listener

    def _tcp(self) -> socket.socket:
        host, _, port = self._settings.bind.rpartition(":")
        host = host.strip("[]")
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
        except OSError as error:
            raise HostError(f"cannot listen at {self._settings.bind} (api.bind): {error}") from error
        listener.listen(128)
        self.port = listener.getsockname()[1]
        return listener

    async def stop(self) -> None:
        """Answer what was begun, cut streams, listen no more."""
        for server, _ in self._running:
            server.should_exit = True
        for server, task in self._running:
            _, late = await asyncio.wait([task], timeout=2.0)
            if late:
                server.force_exit = True
                await asyncio.wait([task], timeout=2.0)
        self._running.clear()
        self._path.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Leaves signals to the agent."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _uvicorn(app: LimitBody | RequireToken) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        limit_concurrency=MOST_CONNECTIONS,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=1,
        backlog=128,
    )
    return _Server(config)
