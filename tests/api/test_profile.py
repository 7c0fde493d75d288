"""`/api/profile`: one's own profile."""

import pytest

from tests.api.running import API_TOKEN, Running


async def test_everybody_changes_their_name_and_nothing_else(server: Running) -> None:
    # the hole of a fork, not copied: there a user makes an admin of themself here
    session, token = server.log_in("eve")
    socket = await server.connect(session)
    before = session.profile
    wish = {"name": "Eve", "is_admin": True, "IS_ADMIN": True, "can_share_media": True, "plugins": {"x": 1}}
    async with server.client(token) as client:
        answer = await client.post("/api/profile", json=wish)
        assert (answer.status_code, answer.json()) == (200, True)
    assert session.profile == before.model_copy(update={"name": "Eve"})
    assert socket.sent[0][0] == "session/profile"


async def test_a_name_that_is_absent_is_empty(server: Running) -> None:
    session, token = server.log_in("eve")
    async with server.client(token) as client:
        assert (await client.post("/api/profile", json={"can_host": False})).json() is True
    assert (session.profile.name, session.profile.can_host) == ("", True)


async def test_an_admin_changes_what_is_named(server: Running) -> None:
    session, token = server.log_in("ada", admin=True)
    async with server.client(token) as client:
        await client.post("/api/profile", json={"can_host": False, "plugins": {"x": 1}})
        await client.post("/api/profile", json={"plugins": {"y": 2}, "is_admin": None})
        assert (session.profile.name, session.profile.can_host, session.profile.is_admin) == (
            "ada",
            False,
            True,
        )
        assert session.profile.plugins == {"x": 1, "y": 2}
        await client.post("/api/profile", json={"is_admin": False})
        await client.post("/api/profile", json={"is_admin": True})
    assert not session.profile.is_admin


async def test_the_api_token_has_no_session(server: Running) -> None:
    async with server.client(API_TOKEN) as client:
        answer = await client.post("/api/profile", json={"name": "x"})
    assert (answer.status_code, answer.json()["message"]) == (400, "session does not exist")


@pytest.mark.parametrize("admin", [True, False])
@pytest.mark.parametrize(
    "body",
    [b"[]", b"5", b'{"name": 5}', b'{"can_host": "yes"}', b'{"name": "' + b"x" * 300 + b'"}', b"[" * 100_000],
)
async def test_a_body_that_is_no_profile_changes_nothing(server: Running, body: bytes, admin: bool) -> None:
    session, token = server.log_in("eve", admin=admin)
    async with server.client(token) as client:
        answer = await client.post("/api/profile", content=body)
        assert (answer.status_code, answer.json()["message"]) == (400, "unable to parse provided data")
        answer = await client.post("/api/profile")
        assert (answer.status_code, answer.json()["message"]) == (400, "no data provided")
    assert session.profile.name == "eve"
