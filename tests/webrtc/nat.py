"""A box between one viewer and the server that gives the viewer another address when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

Address = tuple[str, int]
Relay = Callable[[bytes, Address], None]


class Nat:
    """Relays UDP on loopback; `rebind` changes the port the server sees."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._viewer: Address | None = None
        self._inside: asyncio.DatagramTransport | None = None
        self._outside: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """The port the viewer sends to."""
        assert self._inside is not None
        port: int = self._inside.get_extra_info("sockname")[1]
        return port

    async def __aenter__(self) -> Self:
        self._inside = await self._bind(self._from_viewer)
        await self.rebind()
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in (self._inside, self._outside):
            if transport is not None:
                transport.close()

    async def rebind(self) -> None:
        old, self._outside = self._outside, await self._bind(self._from_server)
        if old is not None:
            old.close()

    async def _bind(self, received: Relay) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(received), local_addr=("127.0.0.1", 0)
        )
        return transport

    def _from_viewer(self, data: bytes, address: Address) -> None:
        self._viewer = address
        if self._outside is not None:
            self._outside.sendto(data, self._server)

    def _from_server(self, data: bytes, address: Address) -> None:
        if self._inside is not None and self._viewer is not None:
            self._inside.sendto(data, self._viewer)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, received: Relay) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)
