"""The listener: uvicorn inside our program, which keeps signals, logging and stopping to itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Generator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import Server

from streamserver.api.connections import BoundedHttp, BoundedWebSocket
from streamserver.config import ServerSettings, SessionSettings
from streamserver.logs import get_logger

log = get_logger("http")

BACKLOG = 512
"""Connections the kernel holds for us until we take them."""

DATE_INTERVAL = 1.0
"""Seconds between two changes of the `Date` header."""


class ListenError(OSError):
    """The server cannot listen; the message names the address or certificate, the cause and the way out."""


class _Server(Server):
    """uvicorn's server without its signal handlers, and with events for "listening" and "stop"."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Begin to shut down."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Refresh the `Date` header each second until asked to stop (uvicorn looks ten times a second)."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), DATE_INTERVAL)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to our program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.listening.set()


class HttpServer:
    """Serves an ASGI application at `server.bind`: HTTP/1.1 and WebSocket, over TLS with a certificate."""

    def __init__(self, asgi: ASGIApp, server: ServerSettings, session: SessionSettings) -> None:
        self._asgi = asgi
        self._settings = server
        self._session = session
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sockets: list[socket.socket] = []
        self._port = 0

    @property
    def port(self) -> int:
        """The TCP port in use; 0 before `start`."""
        return self._port

    async def start(self) -> None:
        """Begin to listen; returns when connections are accepted.

        Raises:
            ListenError: the address cannot be had, or the certificate cannot be used.
        """
        settings = self._settings
        tls = _tls_context(settings.cert, settings.key)
        self._sockets = _listening_sockets(settings.bind, settings.address, settings.write_timeout)
        self._port = self._sockets[0].getsockname()[1]
        config = uvicorn.Config(
            self._asgi,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            http=BoundedHttp,
            ws=BoundedWebSocket,
            ws_max_size=settings.max_message_size,
            ws_ping_interval=self._session.ping_interval,
            ws_ping_timeout=self._session.ping_timeout,
            ws_per_message_deflate=False,
            limit_concurrency=settings.max_connections,
            h11_max_incomplete_event_size=settings.max_header_size,
            backlog=BACKLOG,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        # seconds with a fraction are fine: uvicorn hands this to call_later, and the next one to wait_for
        config.timeout_keep_alive = settings.idle_timeout  # type: ignore[assignment]
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(self._sockets), name="http server")
        ready = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._serving
            raise ListenError(f"the web server ended while it started on {settings.bind}")
        log.info("http listening", bind=settings.bind, port=self._port, tls=tls is not None)

    def stop_listening(self) -> None:
        """Take no new connections; those that are open go on."""
        if self._server is not None and self._server.started:
            for listener in self._server.servers:
                listener.close()

    async def stop(self, timeout: float = 2.0) -> None:
        """Stop listening and end every connection: politely, and after `timeout` seconds in any case."""
        server, serving = self._server, self._serving
        if server is None or serving is None:
            return
        self._server = self._serving = None
        server.config.timeout_graceful_shutdown = timeout  # type: ignore[assignment]
        server.ask_to_stop()
        try:
            await asyncio.wait_for(asyncio.shield(serving), timeout + 1.0)
        except TimeoutError:
            serving.cancel()
        finally:
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            tasks = list(server.server_state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(serving, *tasks, return_exceptions=True)


def _tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        lacking = "server.cert" if cert is None else "server.key"
        raise ListenError(f"TLS needs both server.cert and server.key; {lacking} is not set")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ListenError(f"cannot use server.cert {cert} with server.key {key}: {error}") from error
    return context


def _listening_sockets(bind: str, address: tuple[str, int], write_timeout: float) -> list[socket.socket]:
    """Return one socket for each address that `bind` means; all have the same port."""
    host, port = address
    sockets: list[socket.socket] = []
    try:
        for family, sockaddr_host in _resolve(bind, host):
            bound = _bind(family, sockaddr_host, port, bind, write_timeout)
            sockets.append(bound)
            port = bound.getsockname()[1]
    except ListenError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _resolve(bind: str, host: str) -> list[tuple[socket.AddressFamily, str]]:
    if bind.startswith(":"):
        # every address, as in Go: IPv6 and IPv4 on one socket where the machine has IPv6
        dual = socket.has_dualstack_ipv6()
        return [(socket.AF_INET6, "::") if dual else (socket.AF_INET, "0.0.0.0")]  # noqa: S104 - asked for
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {bind}: {host!r} is no address of a machine ({error}); see server.bind"
        ) from error
    return list(dict.fromkeys((family, str(sockaddr[0])) for family, _, _, _, sockaddr in found))


def _bind(
    family: socket.AddressFamily, host: str, port: int, bind: str, write_timeout: float
) -> socket.socket:
    # with the protocol named: asyncio sets TCP_NODELAY only then, and without it each answer waits 40 ms for
    # an ACK
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if bind.startswith(":") else 1)
        # Accepted sockets inherit it: the kernel ends a connection whose peer takes or acknowledges nothing
        # for this long (RFC 5482), also one that we have closed already and whose last output is still
        # waiting.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(write_timeout * 1000))
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise ListenError(f"cannot listen on {bind}: {_reason(error, port)}") from error
    return bound


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"another program has port {port}; stop it, or set server.bind to a free port"
    if error.errno == errno.EACCES:
        return f"port {port} needs root; set server.bind to a port from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; set server.bind to one it has"
    return str(error)
