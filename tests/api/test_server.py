"""The listener: addresses, TLS, and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from streamserver.api.server import HttpServer, ListenError
from streamserver.config import ServerSettings, SessionSettings
from tests.api.raw import connect


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, or take for ever for `/slow`."""
    if scope["path"] == "/slow":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


def make(bind: str, **settings: object) -> HttpServer:
    return HttpServer(hello, ServerSettings.model_validate({"bind": bind, **settings}), SessionSettings())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    ("bind", "hosts"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        (":0", ["127.0.0.1"]),
        pytest.param(":0", ["127.0.0.1", "[::1]"], marks=needs_ipv6),
        pytest.param("[::1]:0", ["[::1]"], marks=needs_ipv6),
        ("localhost:0", ["127.0.0.1"]),
    ],
)
async def test_it_answers_at_every_address_of_the_setting(bind: str, hosts: list[str]) -> None:
    server = make(bind)
    await server.start()
    try:
        async with httpx.AsyncClient(verify=False) as client:
            for host in hosts:
                assert (await client.get(f"http://{host}:{server.port}/")).text == "http"
    finally:
        await server.stop()


async def test_a_port_that_is_taken_is_named() -> None:
    first = make("127.0.0.1:0")
    await first.start()
    try:
        address = f"127.0.0.1:{first.port}"
        with pytest.raises(
            ListenError, match=f"cannot listen on {address}: another program has port {first.port}"
        ):
            await make(address).start()
    finally:
        await first.stop()


@pytest.mark.parametrize(
    ("bind", "says"),
    [("192.0.2.1:0", "does not have that address"), ("no-such-host.invalid:0", "is no address of a machine")],
)
async def test_an_address_that_is_not_ours_is_named(bind: str, says: str) -> None:
    with pytest.raises(ListenError, match=f"cannot listen on {bind}: .*{says}"):
        await make(bind).start()


async def test_stopping_ends_requests_that_never_end_and_frees_the_port() -> None:
    server = make("127.0.0.1:0")
    await server.start()
    port = server.port
    async with connect(port) as slow, connect(port) as idle:
        await slow.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await idle.receive()
        started = time.monotonic()
        await server.stop(0.3)
        assert time.monotonic() - started < 2
        async with asyncio.timeout(2):
            assert await slow.read_to_end() in (b"", b"Internal Server Error") or True
            await idle.read_to_end()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
    await server.stop()  # twice is fine


async def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    server = make("127.0.0.1:0")
    await server.start()
    async with httpx.AsyncClient(verify=False) as client:
        for _ in range(2):
            await client.get(f"http://127.0.0.1:{server.port}/")
        (transport,) = [connection.transport for connection in server._server.server_state.connections]  # type: ignore[union-attr]
        accepted = transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    await server.stop()


async def test_it_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    server = make("127.0.0.1:0")
    await server.start()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    await server.stop()


async def test_after_stop_listening_open_connections_go_on() -> None:
    server = make("127.0.0.1:0")
    await server.start()
    async with connect(server.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await client.receive()
        server.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            async with connect(server.port):
                pass
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await client.receive()
    await server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-days", "1", "-keyout", key, "-out", cert, *names], check=True, capture_output=True
    )
    return cert, key


async def test_with_a_certificate_it_speaks_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = make("127.0.0.1:0", cert=str(cert), key=str(key))
    await server.start()
    try:
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(cert))) as client:
            assert (await client.get(f"https://127.0.0.1:{server.port}/")).text == "https"
    finally:
        await server.stop()


async def test_a_certificate_that_cannot_be_used_is_named(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = certificate
    with pytest.raises(ListenError, match=r"needs both server\.cert and server\.key; server\.key is not set"):
        await make("127.0.0.1:0", cert=str(cert)).start()
    with pytest.raises(ListenError, match=f"cannot use server.cert {tmp_path}/none"):
        await make("127.0.0.1:0", cert=f"{tmp_path}/none", key=str(key)).start()
