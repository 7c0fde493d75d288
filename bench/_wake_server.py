"""The service that `bench/wake.py` puts to sleep: asyncio, TCP and UDP on one port, and memory that it
uses.
"""

import asyncio
import os
import sys

PORT = 7777
_MEMORY = bytearray()


class Connection(asyncio.Protocol):
    """Answers each request of a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Send back what came."""
        self._transport.write(data)


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: tuple[str | int, ...]) -> None:
        """Send back what came."""
        self._transport.sendto(data, address)


async def main(megabytes: int) -> None:
    """Serve for ever."""
    _MEMORY.extend(os.urandom(1 << 20) * megabytes)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, ("::", PORT))
    server = await loop.create_server(Connection, None, PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
