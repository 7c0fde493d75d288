"""Asking for our address a page that the test serves, and what happens when it does not help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc import public_address as asking
from streamserver.webrtc.public_address import PublicAddressError, public_address
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.webrtc.room import open_room


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[str]:
    """Give the URL of a page; without an answer it accepts and is silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer:
            writer.write(answer)
            writer.close()
        else:
            await reader.read()  # until they give up
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ip"


def page(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("text", ["198.51.100.7", " 198.51.100.7\n", "2001:db8::7\n"])
async def test_the_address_is_what_the_page_shows(text: str) -> None:
    async with serving(page(text)) as url:
        assert await public_address(url) == ip_address(text.strip())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (page("you are lost"), "answered 'you are lost', which is no address"),
        (page("x" * 100_000), "which is no address"),
        (page("", "404 Not Found"), "answered with status 404"),
        (page("1.2.3.4", "302 Found"), "answered with status 302"),
        (b"not HTTP\r\n\r\n", "did not answer"),
        (b"", "did not answer: timed out"),
    ],
)
async def test_what_is_no_address_is_said(
    answer: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TIMEOUT", 0.5)
    async with serving(answer) as url:
        with pytest.raises(PublicAddressError, match=message):
            await public_address(url)


async def test_nobody_there() -> None:
    with pytest.raises(PublicAddressError, match=r"http://127\.0\.0\.1 did not answer"):
        await public_address("http://127.0.0.1:1/")


async def offered(settings: WebRTCSettings) -> list[str]:
    """The addresses that a viewer is told, in their order."""
    async with open_room(settings) as room:
        provide = await room.manager.create_peer(room.session("bob"), VideoRequest(), AudioRequest())
    lines = [line.split() for line in provide.sdp.split("\r\n") if line.startswith("a=candidate")]
    return list(dict.fromkeys(line[4] for line in lines))


async def test_viewers_are_told_it_first_and_the_others_too() -> None:
    async with serving(page("198.51.100.7")) as url:
        told = await offered(WebRTCSettings(udpmux=0, ip_retrieval_url=url))
        assert told[0] == "198.51.100.7"
        assert "127.0.0.1" in told
        named = await offered(WebRTCSettings(udpmux=0, ip_retrieval_url=url, nat1to1=("203.0.113.5",)))
        assert named == ["203.0.113.5"]


async def test_a_page_that_does_not_help_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(page("teapot", "418 I'm a teapot")) as url:
        told = await offered(WebRTCSettings(udpmux=0, ip_retrieval_url=url))
    assert "127.0.0.1" in told
    warnings = [line for line in capsys.readouterr().out.split("\n") if "warning" in line]
    assert len(warnings) == 1
    assert "set webrtc.nat1to1" in warnings[0]
    assert "status 418" in warnings[0]
