"""The whole way of a version 2 client: real sockets, sessions and routes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.api.running import API_TOKEN, Running, running
from tests.legacy.version2 import version2
from tests.waiting import until

USER, ADMIN = "neko", "admin"
NO_MESSAGES = (
    "", "{", "[]", "null", '{"event": 1}', '{"event": "no/such"}', '{"event":"admin/kick","id":7}',
    '{"event":"signal/candidate","data":"{"}', '{"event":"admin/lock","resource":"x"}', "[" * 5000,
)  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as up:
        yield up


async def test_the_first_messages_of_a_user_and_of_an_admin(server: Running) -> None:
    async with version2(server, "bob", USER) as bob:
        burst = [await bob.receive() for _ in range(4)]
        assert [message["event"] for message in burst] == [
            "member/list", "screen/resolution", "system/init", "signal/provide",
        ]  # fmt: skip
        (myself,) = burst[0]["members"]
        assert (myself["displayname"], myself["admin"], myself["muted"]) == ("bob", False, False)
        assert burst[1] == {"event": "screen/resolution", "width": 1280, "height": 720, "rate": 30}
        assert burst[2] == {
            "event": "system/init", "implicit_hosting": False, "locks": {}, "file_transfer": True,
            "heartbeat_interval": 10,
        }  # fmt: skip
        assert burst[3] == {
            "event": "signal/provide", "id": myself["id"], "sdp": "v=0 offer", "lite": True, "ice": [],
        }  # fmt: skip
        async with version2(server, "root", ADMIN) as root:
            await root.until("system/init")
            configurations = (await root.receive())["configurations"]
            assert configurations["0"] == {"width": 1920, "height": 1080, "rates": {"0": 30}}
            assert await root.receive() == {"event": "broadcast/status", "url": "", "isActive": False}
            joined = await bob.until("member/connected")
            assert (joined["displayname"], joined["admin"]) == ("root", True)
        assert (await bob.until("member/disconnected"))["id"] == joined["id"]
    await until(lambda: not server.sessions.list(), within=5, what="nobody is remembered")


async def test_control_goes_round(server: Running) -> None:
    async with version2(server, "bob", USER) as bob, version2(server, "root", ADMIN) as root:
        bob_id = (await bob.until("signal/provide"))["id"]
        root_id = (await root.until("signal/provide"))["id"]
        await bob.send("control/request")
        assert (await root.until("control/locked"))["id"] == bob_id
        await bob.send("control/keyboard", layout="de", capsLock=True, numLock=False)
        await bob.send("control/clipboard", text="from home")
        assert (await bob.until("control/clipboard"))["text"] == "from home"
        assert server.desktop.keyboard.layout.layout == "de"
        assert server.desktop.keyboard.modifiers["capslock"]
        await root.send("control/request")
        assert (await bob.until("control/requesting"))["id"] == root_id
        await bob.send("control/give", id=root_id)
        given = await root.until("control/give")
        assert (given["id"], given["target"]) == (bob_id, root_id)
        await root.send("admin/release")
        await bob.until("admin/release")
        await bob.send("control/request")
        await root.until("control/locked")
        await root.send("admin/control")
        taken = await bob.until("admin/control")
        assert (taken["id"], taken["target"]) == (root_id, bob_id)
        await root.send("control/release")
        assert (await bob.until("control/release"))["id"] == root_id


async def test_admins_lock_mute_and_kick(server: Running) -> None:
    async with version2(server, "bob", USER) as bob, version2(server, "root", ADMIN) as root:
        bob_id = (await bob.until("signal/provide"))["id"]
        await root.until("signal/provide")
        await bob.send("admin/lock", resource="login")
        assert await bob.until("system/error") == {
            "event": "system/error", "title": "backend response error", "message": "session is not admin",
        }  # fmt: skip
        for resource in ("login", "control", "file_transfer"):
            await root.send("admin/lock", resource=resource)
            assert (await bob.until("admin/lock"))["resource"] == resource
            await root.send("admin/unlock", resource=resource)
            assert (await bob.until("admin/unlock"))["resource"] == resource
        await root.send("admin/mute", id=bob_id)
        assert (await bob.until("admin/mute"))["target"] == bob_id
        await root.send("admin/unmute", id=bob_id)
        assert (await bob.until("admin/unmute"))["target"] == bob_id
        await root.send("screen/set", width=1024, height=768, rate=30)
        assert (await bob.until("screen/resolution"))["width"] == 1024
        await bob.send("screen/resolution")
        assert "id" not in await bob.until("screen/resolution")
        await bob.send("screen/configurations")
        assert (await bob.until("system/error"))["message"] == "session is not admin"
        await root.send("broadcast/create", url="rtmp://example.org/live/x")
        assert (await root.until("broadcast/status"))["isActive"]
        await root.send("broadcast/destroy")
        assert not (await root.until("broadcast/status"))["isActive"]
        await bob.send("chat/emote", emote="heart")
        assert (await bob.until("chat/emote"))["emote"] == "heart"
        assert (await root.until("chat/emote"))["id"] == bob_id
        await root.send("admin/kick", id=bob_id)
        told = await bob.until("system/disconnect")
        assert told["message"] == "kicked"
        with pytest.raises(ConnectionClosed):
            await bob.until("never")


async def test_a_ban_is_for_admins_and_ends_the_connection(server: Running) -> None:
    async with version2(server, "bob", USER) as bob, version2(server, "root", ADMIN) as root:
        bob_id = (await bob.until("signal/provide"))["id"]
        root_id = (await root.until("signal/provide"))["id"]
        # neko [Q]: anybody can ban
        await bob.send("admin/ban", id=root_id)
        assert (await bob.until("system/error"))["message"] == "session is not admin"
        async with version2(server, "eve", USER) as eve:
            await eve.until("system/init")
        await root.send("admin/ban", id=bob_id)
        await bob.until("system/disconnect")
        async with version2(server, "bob", USER) as again:
            # neko [Q]: it goes on with a client that it has just refused
            assert await again.receive() == {
                "event": "system/disconnect", "title": "banned ip", "message": "you are banned",
            }  # fmt: skip
            with pytest.raises(ConnectionClosed):
                await again.receive()
        async with server.client() as client:
            assert (await client.get("/stats?usr=root&pwd=admin")).text.strip() == "banned ip"


async def test_refusals_are_told(server: Running) -> None:
    async with version2(server, "bob", "wrong") as bob:
        told = await bob.receive()
        assert told["title"] == "couldn't create a new session"
        assert told["message"] == "error response from backend: Unauthorized"
    async with running({"session": {"cookie": {"enabled": True}}}) as other:
        async with version2(other, "bob", USER) as bob:
            assert (await bob.receive())["message"].startswith("token not found")
        assert not other.sessions.list()


async def test_what_is_no_message_is_ignored(server: Running) -> None:
    async with version2(server, "bob", USER) as bob:
        await bob.until("signal/provide")
        for text in NO_MESSAGES:
            await bob._socket.send(text)
        await bob._socket.send(b"\0")
        await bob.send("client/heartbeat")
        await bob.send("screen/resolution")
        await bob.until("screen/resolution")


async def test_requests_of_version_2_log_in_and_out(server: Running) -> None:
    async with server.client() as client, version2(server, "bob", USER) as bob:
        await bob.until("system/init")
        stats = (await client.get("/stats?usr=root&pwd=admin")).json()
        assert stats["connections"] == 1
        assert stats["members"][0]["displayname"] == "bob"
        assert stats["implicit_control"] is False
        refused = await client.get("/stats?usr=bob&pwd=neko")
        assert (refused.status_code, refused.text.strip()) == (401, "bad authorization")
        wrong = await client.get("/stats?usr=bob&pwd=x")
        assert (wrong.status_code, wrong.text.strip()) == (403, "error response from backend: Unauthorized")
        shot = await client.get("/screenshot.jpg?usr=root&pwd=admin&quality=33")
        assert (shot.headers["content-type"], shot.content) == ("image/jpeg", b"one at 33")
        assert (await client.get("/screenshot.jpg?usr=bob&pwd=neko")).status_code == 401
        # without the plugin there is no such route, and that is what one is told
        assert (await client.get("/file?pwd=neko&filename=x")).status_code == 404
        assert (await client.get("/file?pwd=x&filename=x")).status_code == 403
        assert len(server.sessions.list()) == 1
        await asyncio.sleep(0)
        async with server.client(API_TOKEN) as program:
            assert (await program.get("/api/sessions")).status_code == 200
