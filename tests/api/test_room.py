"""`/api/room/settings`, `/api/room/control` and `/api/room/screen`."""

import pytest

from tests.api.running import API_TOKEN, Running

DEFAULTS = {
    "private_mode": False,
    "locked_logins": False,
    "locked_controls": False,
    "control_protection": False,
    "implicit_hosting": False,
    "inactive_cursors": False,
    "merciful_reconnect": True,
    "heartbeat_interval": 10,
    "plugins": None,
}


async def test_settings_are_read_whole_and_changed_in_part(server: Running) -> None:
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/room/settings")).json() == DEFAULTS
        change = {
            "implicit_hosting": True,
            "private_mode": None,
            "unknown": 1,
            "plugins": {"chat.enabled": False},
        }
        assert (await client.post("/api/room/settings", json=change)).status_code == 204
        assert (await client.post("/api/room/settings/", json={"plugins": {"x": 1}})).status_code == 204
        expected = {**DEFAULTS, "implicit_hosting": True, "plugins": {"chat.enabled": False, "x": 1}}
        assert (await client.get("/api/room/settings/")).json() == expected


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"private_mode": "yes"}', b'{"heartbeat_interval": -1}']
)
async def test_malformed_settings_change_nothing(server: Running, body: bytes) -> None:
    async with server.client(API_TOKEN) as client:
        answer = await client.post("/api/room/settings", content=body)
        assert (answer.status_code, answer.json()["message"]) == (400, "unable to parse provided data")
        assert (await client.get("/api/room/settings")).json() == DEFAULTS


async def test_control_is_taken_when_free_and_asked_for_otherwise(server: Running) -> None:
    eve, eve_token = server.log_in("eve")
    _, bob_token = server.log_in("bob")
    socket = await server.connect(eve)
    async with server.client(eve_token) as client:
        assert (await client.get("/api/room/control")).json() == {"has_host": False}
        taken = await client.post("/api/room/control/request")
        assert (taken.status_code, taken.content) == (204, b"")
        assert (await client.get("/api/room/control/")).json() == {"has_host": True, "host_id": "eve"}
        again = await client.post("/api/room/control/request")
        assert again.status_code == 202
    async with server.client(bob_token) as client:
        asked = await client.post("/api/room/control/request")
        assert (asked.status_code, asked.json()) == (202, {"code": 202, "message": "control request sent"})
    assert socket.sent[-1] == ("control/request", {"id": "bob"})


async def test_locked_controls_and_private_mode_refuse_all_but_admins(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client(token) as client:
        server.sessions.update_room(None, locked_controls=True)
        locked = await client.post("/api/room/control/request")
        assert (locked.status_code, locked.json()["message"]) == (403, "controls are locked")
        server.sessions.update_room(None, private_mode=True)
        private = await client.get("/api/room/control")
        assert (private.status_code, private.json()["message"]) == (422, "private mode is enabled")
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/room/control")).status_code == 200
    _, token = server.log_in("guest", can_host=False)
    async with server.client(token) as client:
        refused = await client.get("/api/room/control")
        assert (refused.status_code, refused.json()["message"]) == (403, "session cannot host")


async def test_control_is_released_by_who_has_it(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client(token) as client:
        refused = await client.post("/api/room/control/release")
        assert (refused.status_code, refused.json()["message"]) == (422, "session is not the host")
        await client.post("/api/room/control/request")
        assert (await client.post("/api/room/control/release")).status_code == 204
    assert server.sessions.controller is None


async def test_control_is_given_by_the_controller_or_an_admin(server: Running) -> None:
    eve, eve_token = server.log_in("eve")
    bob, bob_token = server.log_in("bob")
    server.log_in("guest", can_host=False)
    async with server.client(bob_token) as client:
        refused = await client.post("/api/room/control/give/bob")
        assert (refused.status_code, refused.json()["message"]) == (403, "session is not host or admin")
    async with server.client(eve_token) as client:
        await client.post("/api/room/control/request")
        missing = await client.post("/api/room/control/give/nobody")
        assert (missing.status_code, missing.json()["message"]) == (404, "target session was not found")
        unable = await client.post("/api/room/control/give/guest")
        assert (unable.status_code, unable.json()["message"]) == (
            400,
            "target session is not allowed to host",
        )
        assert (await client.post("/api/room/control/give/bob")).status_code == 204
    assert server.sessions.controller is bob
    async with server.client(API_TOKEN) as client:
        assert (await client.post("/api/room/control/give/eve")).status_code == 204
    assert server.sessions.controller is eve


async def test_an_admin_takes_and_resets_control(server: Running) -> None:
    eve, _ = server.log_in("eve")
    ada, token = server.log_in("ada", admin=True)
    server.sessions.set_controller(eve, eve)
    async with server.client(token) as client:
        assert (await client.post("/api/room/control/take")).status_code == 204
        assert ada.is_controller
        assert (await client.post("/api/room/control/reset")).status_code == 204
        assert server.sessions.controller is None
        assert (await client.post("/api/room/control/reset")).status_code == 204


async def test_the_screen_is_told_and_changed_and_everybody_hears_of_the_real_size(server: Running) -> None:
    eve, eve_token = server.log_in("eve")
    socket = await server.connect(eve)
    async with server.client(API_TOKEN) as client:
        asked = {"width": 1023, "height": 600, "rate": 25}
        answer = await client.post("/api/room/screen", json=asked)
        assert (answer.status_code, answer.json()) == (200, asked)
        listed = (await client.get("/api/room/screen/configurations")).json()
        assert listed[0] == {"width": 1920, "height": 1080, "rate": 30}
    updated = dict(socket.sent)["screen/updated"]
    assert isinstance(updated, dict)
    assert updated["width"] == 1016
    async with server.client(eve_token) as client:
        for path in ("/api/room/screen", "/api/room/screen/"):
            assert (await client.get(path)).json() == {"width": 1016, "height": 600, "rate": 25}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"width": 9000, "height": 100, "rate": 30}', 422, "cannot set screen size"),
        (b'{"width": 0, "height": 0}', 422, "cannot set screen size"),
        (b"{}", 422, "cannot set screen size"),
        (b'{"width": "a"}', 400, "unable to parse provided data"),
        (b"", 400, "no data provided"),
    ],
)
async def test_a_screen_that_is_not_possible_is_refused(
    server: Running, body: bytes, status: int, message: str
) -> None:
    async with server.client(API_TOKEN) as client:
        answer = await client.post("/api/room/screen", content=body)
    assert (answer.status_code, answer.json()["message"]) == (status, message)


async def test_who_may_not_watch_does_not_see_the_screen(server: Running) -> None:
    _, token = server.log_in("guest", can_watch=False)
    async with server.client(token) as client:
        for path in ("/api/room/screen", "/api/room/screen/configurations"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["message"]) == (403, "session cannot watch")
