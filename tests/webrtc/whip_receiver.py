"""A small media server: takes one stream at a time by WHIP, and decodes it with aiortc."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Self

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from tests.webrtc.received_media import ReceivedMedia


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Refusal:
    """An answer in place of taking the stream."""

    status: str
    headers: tuple[str, ...] = ()
    body: str = ""


@dataclass
class WhipReceiver(ReceivedMedia):
    """`refusals` are given, one after another, before a stream is taken."""

    refusals: list[Refusal] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    pc: RTCPeerConnection | None = None
    port: int = 0
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/whip/room?key=1"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.hang_up()
        await self.stop_reading()

    async def hang_up(self) -> None:
        """End the connection, if there is one."""
        if self.pc is not None:
            await self.pc.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(method, path, headers, body.decode()))
        if method == "DELETE":
            await self.hang_up()
            answer = Refusal("200 OK")
        elif self.refusals:
            answer = self.refusals.pop(0)
        else:
            answer = Refusal("201 Created", ("Location: /stream/7",), await self._take(body.decode()))
        lines = [f"HTTP/1.1 {answer.status}", f"Content-Length: {len(answer.body)}", *answer.headers, "", ""]
        writer.write("\r\n".join(lines).encode() + answer.body.encode())
        writer.close()

    async def _take(self, offer: str) -> str:
        pc = self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        pc.on("track", self.take)
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return str(pc.localDescription.sdp)
