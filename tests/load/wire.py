"""A WebSocket client that costs next to nothing, so that 500 of them fit beside the server they load."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def log_in(port: int, names: list[str], password: str = "test-user") -> list[str]:
    """Log so many members in, over one connection; return their tokens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    tokens = []
    for name in names:
        body = json.dumps({"username": name, "password": password})
        connection.request("POST", "/api/login", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        tokens.append(answer["token"])
    connection.close()
    return tokens


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame (RFC 6455 §5.2), masked with zeros."""
    if len(payload) < 126:
        return struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + bytes(4) + payload
    return struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload)) + bytes(4) + payload


class Wire:
    """One WebSocket; `count`: messages that came."""

    def __init__(self, port: int, token: str, *, receive_buffer: int = 0) -> None:
        """Connect, and return when the server has taken it."""
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count = 0
        self.closed = False
        self._buffer = bytearray()
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /api/ws?token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise ConnectionError(f"no WebSocket: {head!r}")
            head += byte
        self.socket.setblocking(False)

    def fileno(self) -> int:
        """Return the socket's, for selectors."""
        return self.socket.fileno()

    def send(self, event: str, payload: object) -> None:
        """Send a message, waiting while the server does not read."""
        self.send_frames(frame(TEXT, json.dumps({"event": event, "payload": payload}).encode()))

    def send_frames(self, data: bytes) -> None:
        """Send bytes, waiting while the server does not read."""
        self.socket.setblocking(True)
        try:
            self.socket.sendall(data)
        finally:
            self.socket.setblocking(False)

    def take(self, *, keep: bool = False) -> list[bytes]:
        """Take what has come, and answer pings; return the messages if they are to be kept."""
        try:
            while data := self.socket.recv(1 << 18):
                self._buffer += data
            self.closed = True
        except BlockingIOError:
            pass
        except ConnectionError:
            self.closed = True
        kept: list[bytes] = []
        buffer, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 2:
            length, body = buffer[at + 1], at + 2
            if length == 126:
                body = at + 4
                length = int.from_bytes(buffer[at + 2 : body], "big")
            elif length == 127:
                body = at + 10
                length = int.from_bytes(buffer[at + 2 : body], "big")
            if end < body + length:
                break
            opcode = buffer[at] & 15
            at = body + length
            if opcode == TEXT:
                self.count += 1
                if keep:
                    kept.append(bytes(buffer[body:at]))
            elif opcode == PING and not self.closed:
                self._pong(bytes(buffer[body:at]))
            elif opcode == CLOSE:
                self.closed = True
        del buffer[:at]
        return kept

    def leave(self) -> None:
        """Close as somebody does who leaves."""
        with contextlib.suppress(OSError):
            self.socket.send(frame(CLOSE, struct.pack("!H", 1000)))
        self.socket.close()

    def abort(self) -> None:
        """Close without a word."""
        self.socket.close()

    def _pong(self, payload: bytes) -> None:
        try:
            self.socket.send(frame(PONG, payload))
        except OSError:
            self.closed = True
