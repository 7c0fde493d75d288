"""`/api/room/upload`: who may, what a form must have, and its bounds."""

import httpx

from tests.api.running import Running, running

FILES = [("files", ("a.txt", b"one")), ("files", ("b.txt", b"two"))]
DIALOG = {"desktop": {"file_chooser_dialog": True, "max_upload_size": 20_000}}


async def post(client: httpx.AsyncClient, path: str, **parts: object) -> tuple[int, str]:
    answer = await client.post(f"/api/room/upload/{path}", **parts)  # type: ignore[arg-type]
    return answer.status_code, answer.json()["message"] if answer.content else ""


async def test_files_are_dropped_by_whoever_has_control(server: Running) -> None:
    ann, token = server.log_in("ann")
    admin, _ = server.log_in("root", admin=True)
    async with server.client(token) as client:
        refused = await post(client, "drop", files=FILES, data={"x": "10", "y": "60"})
        assert refused == (403, "without implicit hosting, only host can upload files")
        server.sessions.update_room(admin, implicit_hosting=True)
        assert await post(client, "drop", files=FILES, data={"x": "10", "y": "60"}) == (204, "")
        assert server.desktop.dropped == [10, 60, ("a.txt", b"one"), ("b.txt", b"two")]
        server.sessions.update_room(admin, implicit_hosting=False)
        server.sessions.set_controller(ann, ann)
        assert await post(client, "drop", files=FILES, data={"x": "1", "y": "60"}) == (204, "")
        for data, message in [
            ({"y": "60"}, "no X coordinate received"),
            ({"x": "a", "y": "60"}, "no X coordinate received"),
            ({"x": "1"}, "no Y coordinate received"),
        ]:
            assert await post(client, "drop", files=FILES, data=data) == (400, message)
        nothing = [("x", (None, "1")), ("y", (None, "60")), ("files", (None, "a text"))]
        assert await post(client, "drop", files=nothing) == (400, "no files received")
        for content, kind in [
            (b"", ""),
            (b"{}", "application/json"),
            (b"x", "multipart/form-data; boundary=q"),
        ]:
            bad = await post(client, "drop", content=content, headers={"content-type": kind})
            assert bad == (400, "failed to parse multipart form") or bad[0] == 400
        assert (await post(client, "drop", files=FILES, data={"x": "1", "y": "5"}))[0] == 422
        many = [("files", (f"{number}", b"")) for number in range(200)]
        assert (await post(client, "drop", files=many, data={"x": "1", "y": "60"}))[0] == 400
        assert await post(client, "dialog", files=FILES) == (400, "file chooser dialog is disabled")


async def test_a_dialog_is_answered_and_closed() -> None:
    async with running(DIALOG) as server:
        ann, token = server.log_in("ann")
        server.sessions.set_controller(ann, ann)
        async with server.client(token) as client:
            assert await post(client, "dialog", files=FILES) == (422, "file chooser dialog is not open")
            assert (await client.delete("/api/room/upload/dialog")).status_code == 422
            server.desktop.file_chooser.open()
            assert await post(client, "dialog", files=FILES) == (204, "")
            assert server.desktop.dropped == [("a.txt", b"one"), ("b.txt", b"two")]
            server.desktop.file_chooser.open()
            assert (await client.delete("/api/room/upload/dialog")).status_code == 204
            assert not server.desktop.file_chooser.is_open
            server.desktop.file_chooser.open()
            too_much = [("files", ("a", b"x" * 30_000))]
            assert (await post(client, "dialog", files=too_much))[0] == 413
    async with running({"desktop": {"upload_drop": False}}) as server:
        ann, token = server.log_in("ann")
        server.sessions.set_controller(ann, ann)
        async with server.client(token) as client:
            assert await post(client, "drop", files=FILES) == (400, "upload drop is disabled")


async def test_the_keyboard_is_read_by_those_who_may_control_and_set_by_who_does(server: Running) -> None:
    ann, token = server.log_in("ann")
    async with server.client(token) as client:
        assert (await client.get("/api/room/keyboard/map")).json() == {"layout": "us", "variant": ""}
        assert (await client.post("/api/room/keyboard/map", json={"layout": "de"})).status_code == 403
        server.sessions.set_controller(ann, ann)
        assert (await client.post("/api/room/keyboard/map", json={"layout": "de"})).status_code == 204
        assert (await client.get("/api/room/keyboard/map")).json() == {"layout": "de", "variant": ""}
        assert (await client.post("/api/room/keyboard/map", json={"layout": "xx"})).status_code == 422
        assert (await client.post("/api/room/keyboard/map", content=b"")).status_code == 400
        change = {"shift": True, "alt": None}
        assert (await client.post("/api/room/keyboard/modifiers", json=change)).status_code == 204
        now = (await client.get("/api/room/keyboard/modifiers")).json()
        assert now == {**dict.fromkeys(now, False), "shift": True}
        assert len(now) == 8
        assert (await client.post("/api/room/keyboard/modifiers", json={"shift": "yes"})).status_code == 400
    _, token = server.log_in("eve", can_host=False)
    async with server.client(token) as client:
        assert (await client.get("/api/room/keyboard/map")).status_code == 403
