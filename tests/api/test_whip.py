"""`/api/room/whip`: for admins alone."""

import pytest

from tests.api.running import Running, running
from tests.waiting import until

URL = "http://127.0.0.1:1/whip"
OFF = {"state": "off", "connections": 0, "bytes_sent": 0, "round_trip": None, "fraction_lost": 0.0}


async def test_an_admin_starts_it_looks_and_stops_it(server: Running) -> None:
    _, token = server.log_in("eve")
    _, admin = server.log_in("ann", admin=True)
    async with server.client(token) as client:
        for method, path in (("GET", ""), ("POST", "/start"), ("POST", "/stop")):
            assert (await client.request(method, f"/api/room/whip{path}")).status_code == 403
    async with server.client(admin) as client:
        assert (await client.get("/api/room/whip/")).json() == OFF
        stopped = await client.post("/api/room/whip/stop")
        assert (stopped.status_code, stopped.json()["message"]) == (422, "the room is not published")
        assert (await client.post("/api/room/whip/start", json={"url": URL, "token": "t"})).status_code == 204
        again = await client.post("/api/room/whip/start", json={"url": URL})
        assert (again.status_code, again.json()["message"]) == (422, "the room is published already")
        await until(lambda: server.context.egress.status.error, within=10, what="the first attempt ends")
        status = (await client.get("/api/room/whip")).json()
        assert status["state"] in ("waiting", "connecting")
        assert status["url"] == URL
        assert "http://127.0.0.1 did not answer" in status["error"]
        assert (await client.post("/api/room/whip/stop")).status_code == 204
        assert (await client.get("/api/room/whip")).json()["state"] == "off"


@pytest.mark.parametrize(
    ("body", "message"),
    [({}, "missing WHIP URL"), ({"url": "ftp://x/"}, "not a URL of http or https")],
)
async def test_what_is_no_endpoint_is_refused(server: Running, body: object, message: str) -> None:
    _, admin = server.log_in("ann", admin=True)
    async with server.client(admin) as client:
        answer = await client.post("/api/room/whip/start", json=body)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_the_endpoint_of_the_settings_is_taken_when_none_is_named() -> None:
    async with running({"webrtc": {"whip": {"url": URL, "token": "t"}}}) as server:
        _, admin = server.log_in("ann", admin=True)
        async with server.client(admin) as client:
            assert (await client.post("/api/room/whip/start", json={})).status_code == 204
            assert (await client.get("/api/room/whip")).json()["url"] == URL
            assert (await client.post("/api/room/whip/stop")).status_code == 204
