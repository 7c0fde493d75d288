"""`/api/room/broadcast`: for admins alone."""

from tests.api.running import API_TOKEN, Running

URL = "rtmp://example.org/live/key"


async def test_admins_start_and_stop_it(server: Running) -> None:
    root, _ = server.log_in("root", admin=True)
    bob, token = server.log_in("bob")
    socket, other = await server.connect(root), await server.connect(bob)
    async with server.client(token) as client:
        for method, path in (("get", ""), ("post", "/start"), ("post", "/stop")):
            assert (await client.request(method, f"/api/room/broadcast{path}")).status_code == 403
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/room/broadcast")).json() == {"is_active": False}
        stopped = await client.post("/api/room/broadcast/stop")
        assert (stopped.status_code, stopped.json()["message"]) == (422, "server is not broadcasting")
        for body in ({}, {"url": ""}):
            missing = await client.post("/api/room/broadcast/start", json=body)
            assert (missing.status_code, missing.json()["message"]) == (400, "missing broadcast URL")
        for url in ("file:///etc/passwd", "rtmp://gone/x"):
            assert (await client.post("/api/room/broadcast/start", json={"url": url})).status_code == 422
        assert (await client.post("/api/room/broadcast/start", json={"url": URL})).status_code == 204
        again = await client.post("/api/room/broadcast/start", json={"url": URL})
        assert (again.status_code, again.json()["message"]) == (422, "server is already broadcasting")
        assert (await client.get("/api/room/broadcast/")).json() == {"url": URL, "is_active": True}
        assert (await client.post("/api/room/broadcast/stop")).status_code == 204
        assert (await client.get("/api/room/broadcast")).json() == {"url": URL, "is_active": False}
    told = [payload for event, payload in socket.sent if event == "broadcast/status"]
    assert told == [{"is_active": True, "url": URL}, {"is_active": False, "url": URL}]
    assert not [event for event, _ in other.sent if event == "broadcast/status"]
