"""`cast.jpg` and `shot.jpg`: who gets which picture."""

from tests.api.running import API_TOKEN, Running, running


async def test_shots_are_for_admins(server: Running) -> None:
    _, token = server.log_in("bob")
    async with server.client(token) as client:
        assert (await client.get("/api/room/screen/shot.jpg")).status_code == 403
        off = await client.get("/api/room/screen/cast.jpg")
        assert (off.status_code, off.json()["message"]) == (400, "screencast pipeline is not enabled")
    async with server.client(API_TOKEN) as client:
        shot = await client.get("/api/room/screen/shot.jpg")
        assert (shot.headers["content-type"], shot.content) == ("image/jpeg", b"one at 90")
        assert "no-store" in shot.headers["cache-control"]
        assert (await client.get("/api/room/screen/shot.jpg?quality=7")).content == b"one at 7"
        for quality in ("0", "101", "x"):
            assert (await client.get(f"/api/room/screen/shot.jpg?quality={quality}")).status_code == 400
        server.stills.broken = True
        assert (await client.get("/api/room/screen/shot.jpg")).status_code == 503


async def test_private_mode_freezes_the_picture_for_all_but_admins() -> None:
    async with running({"capture": {"screencast": {"enabled": True}}}) as server:
        admin, _ = server.log_in("root", admin=True)
        _, token = server.log_in("bob")
        _, blind = server.log_in("eve", can_watch=False)
        async with server.client(token) as client, server.client(API_TOKEN) as root:
            path = "/api/room/screen/cast.jpg"
            assert (await client.get(path)).content == b"one at 60"
            server.sessions.update_room(admin, private_mode=True)
            await client.get(path)
            server.stills.screen = "secret"
            assert (await client.get(path)).content == b"one at 60"
            assert (await root.get(path)).content == b"secret at 60"
            server.sessions.update_room(admin, private_mode=False)
            assert (await client.get(path)).content == b"secret at 60"
            server.stills.broken = True
            server.sessions.update_room(admin, private_mode=True)
            none = await client.get(path)
            message = "private mode is enabled but no fallback image available"
            assert (none.status_code, none.json()["message"]) == (400, message)
            assert (await root.get(path)).status_code == 503
        async with server.client(blind) as client:
            assert (await client.get(path)).status_code == 403
