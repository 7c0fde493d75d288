"""The room published to a small WHIP server of the test's, and what happens when that does not want it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc import egress, full_ice, whip
from streamserver.webrtc.egress import EgressError, EgressState
from tests.waiting import until
from tests.webrtc.room import Room, SyntheticVideo, open_room
from tests.webrtc.whip_receiver import Refusal, WhipReceiver

TOKEN = "sesame"


@pytest.fixture(autouse=True)
def _here_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_ice, "interface_addresses", lambda: [ip_address("127.0.0.1")])
    monkeypatch.setattr(egress, "FIRST_DELAY", 0.05)


async def published(room: Room, server: WhipReceiver, pictures: int = 5) -> None:
    before = len(server.pictures)
    await until(
        lambda: len(server.pictures) > before + pictures, within=15, what="the server has the picture"
    )
    assert room.manager.egress.status.state is EgressState.PUBLISHING


async def test_picture_and_sound_reach_the_media_server(room: Room) -> None:
    async with WhipReceiver() as server:
        assert room.manager.egress.status.state is EgressState.OFF
        room.manager.egress.start(server.url, TOKEN)
        await published(room, server)
        await until(lambda: server.sounds > 5, within=10, what="the server has the sound")
        assert (server.pictures[0].width, server.pictures[0].height) == (320, 240)
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/whip/room?key=1")
        assert request.headers["content-type"] == "application/sdp"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.body.count("a=sendonly") == 2
        assert "m=application" not in request.body
        status = room.manager.egress.status
        assert (status.url, status.error, status.connections) == (server.url, "", 1)
        assert status.bytes_sent > 1000
        with pytest.raises(EgressError, match="already"):
            room.manager.egress.start(server.url, TOKEN)
        assert await room.manager.egress.stop()
        assert not room.video.places
        goodbye = server.requests[-1]
        assert (goodbye.method, goodbye.path) == ("DELETE", "/stream/7")
        assert goodbye.headers["authorization"] == f"Bearer {TOKEN}"
        assert not await room.manager.egress.stop()
        assert room.manager.egress.status.state is EgressState.OFF


async def test_it_is_encoded_once_for_viewers_and_the_media_server(room: Room) -> None:
    viewer = await room.viewer(room.session("bob"))
    async with WhipReceiver() as server:
        room.manager.egress.start(server.url, "")
        await published(room, server)
        assert "authorization" not in server.requests[0].headers
        assert len(room.video.places) == 2
        await room.manager.egress.stop()
    shown = len(viewer.pictures)
    await until(lambda: len(viewer.pictures) > shown + 5, within=10, what="the viewer sees on")
    await viewer.close()


async def test_a_connection_that_ends_is_made_again(room: Room) -> None:
    async with WhipReceiver() as server:
        room.manager.egress.start(server.url, "")
        await published(room, server)
        await server.hang_up()
        await until(lambda: room.manager.egress.status.connections == 2, within=10, what="it tries again")
        await published(room, server)
        assert room.manager.egress.status.error == ""
        # after a stop of ours that no server waits for
        room.manager.egress.server_stopped(3.0)
        room.manager.egress.server_stopped(60.0)
        await until(lambda: room.manager.egress.status.connections == 3, within=10, what="it begins anew")
        await published(room, server)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal("401 Unauthorized", body="who are you"), "answered with status 401: who are you"),
        (Refusal("404 Not Found"), "answered with status 404: no reason given"),
        (Refusal("200 OK", body="v=0"), "answered with status 200"),
        (Refusal("201 Created", body="hello"), "the answer"),
        (Refusal("307 Temporary Redirect", ("Location: file:///etc/passwd",)), "sends us on to 'file:"),
    ],
)
async def test_a_refusal_is_said_and_tried_again(room: Room, refusal: Refusal, reason: str) -> None:
    async with WhipReceiver([refusal, refusal]) as server:
        room.manager.egress.start(server.url, "")
        await until(lambda: reason in room.manager.egress.status.error, within=10, what="the reason is told")
        await published(room, server)
        assert server.methods == ["POST"] * 3
        assert room.manager.egress.status.connections == 3


async def test_nobody_there_and_then_somebody(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async with WhipReceiver() as server:
        pass
    room.manager.egress.start(server.url, "")
    await until(lambda: "did not answer" in room.manager.egress.status.error, within=10, what="it is told")
    async with server:
        await published(room, server)
        await room.manager.egress.stop()


async def test_a_redirection_is_followed_and_the_token_stays_with_its_server(room: Room) -> None:
    async with WhipReceiver() as server:
        here = Refusal("308 Permanent Redirect", ("Location: /elsewhere",))
        there = Refusal("307 Temporary Redirect", (f"Location: {server.url}",))
        async with WhipReceiver([here, there]) as front:
            room.manager.egress.start(front.url, TOKEN)
            await published(room, server)
            assert [request.path for request in front.requests] == ["/whip/room?key=1", "/elsewhere"]
            assert all("authorization" in request.headers for request in front.requests)
            assert "authorization" not in server.requests[0].headers
            await room.manager.egress.stop()


async def test_the_server_s_wish_for_rest_is_respected(room: Room) -> None:
    busy = Refusal("503 Service Unavailable", ("Retry-After: 120",))
    async with WhipReceiver([busy]) as server:
        room.manager.egress.start(server.url, "")
        await until(
            lambda: room.manager.egress.status.state is EgressState.WAITING, within=5, what="it waits"
        )
        with pytest.raises(AssertionError):
            await until(lambda: len(server.requests) > 1, within=0.5, what="it tries again")
        assert await room.manager.egress.stop(), "and stops at once"


async def test_retry_after_is_read_and_bounded() -> None:
    for text, seconds in (("7", 7.0), ("999999", 300.0), ("soon", 0.0), ("-1", 0.0)):
        async with WhipReceiver([Refusal("429 Too Many", (f"Retry-After: {text}",))]) as server:
            with pytest.raises(whip.WhipError) as raised:
                await whip.publish(server.url, "", "v=0")
            assert raised.value.retry_after == seconds


async def test_private_mode_shows_the_room_to_nobody_outside(room: Room) -> None:
    async with WhipReceiver() as server:
        room.manager.egress.start(server.url, "")
        await published(room, server)
        room.sessions.update_room(None, private_mode=True)
        assert not room.video.places
        assert not room.sound.places
        room.sessions.update_room(None, private_mode=False)
        await published(room, server)
        await room.manager.egress.stop()


async def test_a_quality_can_be_chosen() -> None:
    """Such as one that shows the pointer."""
    async with open_room(None, SyntheticVideo(), SyntheticVideo(160, 120, "small")) as room:
        with pytest.raises(EgressError, match="there is no video 'huge'; there is main, small"):
            room.manager.egress.start("http://127.0.0.1:1/", "", "huge")
        async with WhipReceiver() as server:
            room.manager.egress.start(server.url, "", "small")
            await published(room, server)
            assert (server.pictures[0].width, server.pictures[0].height) == (160, 120)
            await room.manager.egress.stop()


async def test_a_setting_publishes_from_the_start() -> None:
    async with WhipReceiver() as server:
        settings = WebRTCSettings.model_validate({"udpmux": 0, "whip": {"url": server.url, "token": TOKEN}})
        async with open_room(settings) as room:
            await published(room, server)
        assert server.methods == ["POST", "DELETE"], "and says goodbye at the end"
