"""`/api/sessions`."""

import pytest

from streamserver.webrtc.statistics import MediaStatistics
from tests.api.running import API_TOKEN, Running


async def test_everybody_lists_sessions_and_only_admins_see_one(server: Running) -> None:
    _, user_token = server.log_in("eve")
    server.log_in("ada", admin=True)
    async with server.client(user_token) as client:
        for path in ("/api/sessions", "/api/sessions/"):
            answer = await client.get(path)
            assert [session["id"] for session in answer.json()] == ["eve", "ada"]
        refused = await client.get("/api/sessions/ada")
        assert (refused.status_code, refused.json()["message"]) == (403, "session is not admin")
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/sessions/eve")).json()["profile"]["name"] == "eve"
        missing = await client.get("/api/sessions/nobody")
        assert (missing.status_code, missing.json()) == (404, {"code": 404, "message": "session not found"})


async def test_the_state_has_times_once_something_happened(server: Running) -> None:
    session, token = server.log_in("eve")
    await server.connect(session)
    async with server.client(token) as client:
        state = (await client.get("/api/whoami")).json()["state"]
    assert state["is_connected"] is True
    assert state["connected_since"].endswith("Z")
    assert "not_connected_since" not in state


async def test_an_admin_ends_sessions_but_not_their_own(server: Running) -> None:
    eve, _ = server.log_in("eve")
    _, token = server.log_in("ada", admin=True)
    socket = await server.connect(eve)
    async with server.client(token) as client:
        own = await client.delete("/api/sessions/ada")
        assert (own.status_code, own.json()["message"]) == (400, "cannot delete own session")
        done = await client.delete("/api/sessions/eve")
        assert (done.status_code, done.content) == (204, b"")
        again = await client.delete("/api/sessions/eve")
        assert (again.status_code, again.json()["message"]) == (400, "session not found")
    assert socket.closed == "session deleted"


async def test_a_disconnected_session_keeps_its_token(server: Running) -> None:
    eve, eve_token = server.log_in("eve")
    socket = await server.connect(eve)
    async with server.client(API_TOKEN) as client:
        assert (await client.post("/api/sessions/eve/disconnect")).status_code == 204
        missing = await client.post("/api/sessions/nobody/disconnect")
        assert (missing.status_code, missing.json()["message"]) == (400, "session not found")
    assert socket.closed == "session disconnected"
    async with server.client(eve_token) as client:
        assert (await client.get("/api/whoami")).json()["state"]["is_connected"] is False


FIGURES = MediaStatistics(
    video="main",
    auto=True,
    paused=False,
    bitrate=1_200_000,
    bitrate_limit=2_500_000,
    frames=10,
    frames_dropped=0,
    packets=100,
    packets_lost=1,
    fraction_lost=0.01,
    packets_resent=1,
    keyframe_requests=0,
    round_trip=None,
    jitter=0.001,
    receiver_estimate=0,
)


class Watched:
    """A session's WebRTC connection."""

    def set_paused(self, paused: bool) -> None:
        pass

    def close(self, reason: str) -> None:
        pass

    def statistics(self) -> MediaStatistics:
        return FIGURES


async def test_what_ones_picture_is_like(server: Running) -> None:
    eve, eve_token = server.log_in("eve")
    server.log_in("ada", admin=True)
    async with server.client(eve_token) as client:
        nothing = await client.get("/api/sessions/eve/media")
        assert (nothing.status_code, nothing.json()["message"]) == (404, "session has no media")
        server.sessions.set_media(eve, Watched())
        assert (await client.get("/api/sessions/eve/media")).json() == FIGURES.model_dump()
        anothers = await client.get("/api/sessions/ada/media")
        assert (anothers.status_code, anothers.json()["message"]) == (403, "session is not admin")
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/sessions/eve/media")).json()["bitrate"] == 1_200_000
        assert (await client.get("/api/sessions/nobody/media")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions/eve"),
        ("DELETE", "/api/sessions/ada"),
        ("POST", "/api/sessions/ada/disconnect"),
        ("GET", "/api/room/settings"),
        ("POST", "/api/room/settings"),
        ("POST", "/api/room/control/take"),
        ("POST", "/api/room/control/reset"),
        ("POST", "/api/room/screen"),
        ("GET", "/api/room/screen/configurations"),
        ("GET", "/api/plugins"),
    ],
)
async def test_what_is_for_admins_is_for_admins(server: Running, method: str, path: str) -> None:
    _, token = server.log_in("eve")
    server.log_in("ada", admin=True)
    async with server.client(token) as client:
        answer = await client.request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.json()["message"]) == (403, "session is not admin")
