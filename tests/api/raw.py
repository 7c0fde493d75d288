"""Clients that do what no library lets them: bytes over a socket."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawClient:
    """A TCP connection to the server under test."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self, size: int = 65536) -> bytes:
        """Return what comes next, b"" at the end; a reset counts as the end."""
        try:
            return await self._loop.sock_recv(self.socket, size)
        except ConnectionError:
            return b""

    async def read_to_end(self) -> bytes:
        data = b""
        while piece := await self.receive():
            data += piece
        return data

    async def upgrade(self, path: str) -> bytes:
        """Ask for a WebSocket and return the head of the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        await self.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self.receive(1)
        return head


@asynccontextmanager
async def connect(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", port))
    try:
        yield RawClient(connection)
    finally:
        connection.close()


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return a client's WebSocket frame (RFC 6455 §5.2), masked with zeros."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", 0x80 | 126, len(payload))
    else:
        head += struct.pack("!BQ", 0x80 | 127, len(payload))
    return head + b"\0\0\0\0" + payload
