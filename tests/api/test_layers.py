"""Path prefix and the bounds of a request."""

from __future__ import annotations

import asyncio

import pytest

from streamserver.api import connections
from streamserver.api.layers import SECURITY_HEADERS
from tests.api.raw import RawClient, connect
from tests.api.running import API_TOKEN, Running, running


async def test_under_a_prefix_everything_is_below_it() -> None:
    async with running({"server": {"path_prefix": "/neko"}}) as server, server.client(API_TOKEN) as client:
        assert (await client.get("/neko/health")).text == "true"
        assert (await client.get("/neko/api/whoami")).json()["id"] == "API"
        assert (await client.get("/neko/")).status_code == 200
        redirect = await client.get("/neko")
        assert (redirect.status_code, redirect.headers["location"]) == (308, "/neko/")
        for path in ("/health", "/", "/nekoapi/whoami", "/neko2/health", "/NEKO/health"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (404, "404 page not found\n"), path
        document = (await client.get("/neko/openapi.json")).json()
        assert document["servers"] == [{"url": "/neko"}]
        async with connect(server.http.port) as raw:
            assert b" 101 " in await raw.upgrade(f"/neko/api/ws?token={API_TOKEN}")
        async with connect(server.http.port) as raw:
            assert b" 403 " in await raw.upgrade(f"/api/ws?token={API_TOKEN}")


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/api/whoami", "/api/nothing"])
async def test_every_answer_has_the_security_headers(server: Running, path: str) -> None:
    async with server.client() as client:
        headers = (await client.get(path)).headers
    for name, value in SECURITY_HEADERS.items():
        if name != "cache-control":
            assert headers[name] == value
    assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(chunked: bool) -> None:
    async with running({"server": {"max_body_size": 2048}}) as server, server.client(API_TOKEN) as client:

        async def pieces() -> object:
            for _ in range(10):
                yield b"x" * 1000

        content = pieces() if chunked else b"x" * 3000
        answer = await client.post("/api/room/settings", content=content)  # type: ignore[arg-type]
        assert answer.status_code == 413
        assert answer.json()["code"] == 413
        assert "server.max_body_size" in answer.json()["message"]


async def test_the_rest_of_a_refused_body_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    sections = {"server": {"max_body_size": 2048}}
    async with running(sections) as server, connect(server.http.port) as raw, asyncio.timeout(5):
        await raw.send(b"POST /api/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            await _upload_for_ever(raw)


async def _upload_for_ever(raw: RawClient) -> None:
    while True:
        await raw.send(b"100\r\n" + b"x" * 256 + b"\r\n")
        await asyncio.sleep(0.01)


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with running({"server": {"max_header_size": 4096}}) as server, server.client() as client:
        for answer in (
            await client.get("/health", headers={"x": "x" * 5000}),
            await client.get("/health?" + "x" * 5000),
        ):
            assert answer.status_code in (400, 431)
        assert (await client.get("/health", headers={"x": "x" * 3000})).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sections = {"server": {"request_timeout": 0.3}}
    async with running(sections) as server, connect(server.http.port) as raw, asyncio.timeout(5):
        await raw.send(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = await raw.read_to_end()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"code":408,"message":"the request\'s body did not arrive in time"}' in answer


async def test_a_client_that_goes_away_in_the_middle_hurts_nobody(server: Running) -> None:
    async with connect(server.http.port) as raw:
        await raw.send(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with server.client() as client:
        assert (await client.get("/health")).text == "true"
