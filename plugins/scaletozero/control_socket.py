"""A unix socket for the command line: who may open the file may pin.

One request on a connection, one line of JSON each way:

    {"do": "status" | "disable" | "enable"}   ->   {"evidence": {…}}  or  {"error": "…"}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.control_client import SOCKET_NAME, short_address
from plugins.scaletozero.operations import Operations
from streamserver.logs import get_logger

log = get_logger("scaletozero")

LONGEST_REQUEST = 4096
"""Bytes."""
PATIENCE = 10.0
"""Seconds that one request may take."""
WHO = "the command line"


class SocketInUseError(Exception):
    """Another server answers at the socket."""


class ControlSocket:
    """Answers the command line while it is open."""

    def __init__(self, directory: Path, operations: Operations) -> None:
        """The socket's file will be in `directory`, for its owner alone (mode 0600)."""
        self.path = directory / SOCKET_NAME
        self._operations = operations
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; a file left by a server that was killed is replaced.

        Raises:
            OSError: the file cannot be made.
            SocketInUseError: a server answers there already.
        """
        listener = await asyncio.to_thread(_listen, self.path)
        try:
            self._server = await asyncio.start_unix_server(
                self._connected, sock=listener, limit=LONGEST_REQUEST
            )
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Listen no more, end what is being answered, and remove the file."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError) as error:  # ValueError: a line that is too long
            log.debug("command line went away", error=str(error))
        finally:
            writer.close()
            self._answering.discard(task)

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            wanted = json.loads(line)["do"]
        except (ValueError, TypeError, KeyError):
            return {"error": 'the request is not {"do": "status"}, "disable" or "enable"'}
        try:
            match wanted:
                case "status":
                    pass
                case "disable":
                    await self._operations.pin(WHO)
                case "enable":
                    await self._operations.unpin()
                case _:
                    return {"error": f"there is no {wanted!r}; there are status, disable and enable"}
        except GateWriteError as error:
            return {"error": f"failed to {wanted} scale-to-zero: {error}"}
        return {"evidence": self._operations.evidence().model_dump(mode="json")}


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as address:
            _remove_dead(path, address)
            listener.bind(address)
            os.chmod(address, 0o600)  # noqa: PTH101 - before listen(): nobody has got in yet
            listener.listen(8)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead(path: Path, address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise SocketInUseError(f"another server answers at {path}; give each a server.run_dir of its own")
