"""`/api/room/clipboard`: who may, what comes back; a broken clipboard is no failure of the server."""

from streamserver.desktop.clipboard import ClipboardText
from tests.api.running import Running

PNG = b"\x89PNG\r\n\x1a\nrest"


async def test_text_html_and_pictures_for_whoever_has_control(server: Running) -> None:
    ann, token = server.log_in("ann", can_access_clipboard=True)
    async with server.client(token) as client:
        refused = await client.get("/api/room/clipboard")
        assert (refused.status_code, refused.json()["message"]) == (403, "session is not host")
        server.sessions.set_controller(ann, ann)
        assert (await client.get("/api/room/clipboard")).json() == {}
        body = {"text": "a", "html": "<b>a</b>", "unknown": 1}
        assert (await client.post("/api/room/clipboard", json=body)).status_code == 204
        assert (await client.get("/api/room/clipboard/")).json() == {"text": "a", "html": "<b>a</b>"}
        assert (await client.get("/api/room/clipboard/image.png")).status_code == 404
        assert (await client.post("/api/room/clipboard/image.png", content=PNG)).status_code == 204
        picture = await client.get("/api/room/clipboard/image.png")
        assert (picture.headers["content-type"], picture.content) == ("image/png", PNG)
        assert "no-store" in picture.headers["cache-control"]


async def test_refusals(server: Running) -> None:
    eve, token = server.log_in("eve")
    server.sessions.set_controller(eve, eve)
    async with server.client(token) as client:
        refused = await client.post("/api/room/clipboard", json={"text": "x"})
        assert (refused.status_code, refused.json()["message"]) == (403, "session cannot access clipboard")
    bob, token = server.log_in("bob", can_access_clipboard=True)
    server.sessions.set_controller(bob, bob)
    async with server.client(token) as client:
        for body in (b"", b"[]", b'{"text": 1}'):
            assert (await client.post("/api/room/clipboard", content=body)).status_code == 400
        assert (await client.post("/api/room/clipboard/image.png", content=b"GIF89a")).status_code == 422
        assert (await client.post("/api/room/clipboard/image.png")).status_code == 400
        server.desktop.clipboard.content = ClipboardText("kept")
        server.desktop.clipboard.broken = True
        for path in ("/api/room/clipboard", "/api/room/clipboard/image.png"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["message"]) == (422, "there is no display now")
        assert (await client.post("/api/room/clipboard", json={"text": "x"})).status_code == 422
