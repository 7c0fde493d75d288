"""From the handshake to the end of a connection, over real sockets."""

import asyncio
import contextlib
import socket

import pytest
from websockets.exceptions import InvalidStatus

from streamserver.config import Settings
from streamserver.sessions.model import Session
from tests.sessions.doubles import Recorder, admin, user
from tests.waiting import until
from tests.websocket.room import Room, running_room


def abort(connection: object) -> None:
    """Cut the TCP connection with a reset, as a dying machine or network does."""
    transport: asyncio.Transport = connection.transport  # type: ignore[attr-defined]
    transport.abort()


async def test_no_token_and_a_wrong_token_are_told_after_the_handshake(room: Room) -> None:
    assert await (await room.open()).end() == ("no authentication provided", 1008)
    assert await (await room.open(f"{room.url}?token=wrong")).end() == ("session not found", 1008)
    assert room.metric("catnap_websocket_connections") == 0


async def test_a_token_in_query_header_or_cookie_connects(room: Room) -> None:
    token = room.log_in("ann", user())
    ways: list[tuple[str, dict[str, str]]] = [
        (f"{room.url}?token={token}", {}),
        (room.url, {"Authorization": f"Bearer {token}"}),
        (room.url, {"Cookie": f"NEKO_SESSION={token}"}),
        # what is said explicitly goes before what the browser adds by itself
        (f"{room.url}?token={token}", {"Cookie": "NEKO_SESSION=stale"}),
        (f"{room.url}?token=stale", {"Authorization": f"bearer {token}"}),
    ]
    for url, headers in ways:
        client = await room.open(url, additional_headers=headers)
        assert (await client.receive())["payload"]["session_id"] == "ann"


async def test_a_cookie_does_not_count_for_the_page_of_another_origin() -> None:
    settings = Settings.model_validate({"server": {"cors": ["https://friend.example", "*"]}})
    async with running_room(settings) as room:
        token = room.log_in("ann", user())
        cookie = {"Cookie": f"NEKO_SESSION={token}"}
        own = f"http://127.0.0.1:{room.port}"
        for origin in (own, "https://friend.example"):
            client = await room.open(origin=origin, additional_headers=cookie)
            assert (await client.receive())["event"] == "system/init"
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        ):
            with pytest.raises(InvalidStatus) as refused:
                await room.open(additional_headers={**cookie, **headers})
            assert refused.value.response.status_code == 403
            assert b"server.cors" in (refused.value.response.body or b"")
        # a page that knows the token needs no cookie
        client = await room.open(f"{room.url}?token={token}", origin="https://evil.example")
        assert (await client.receive())["event"] == "system/init"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"can_login": False}, "session login disabled"), ({"can_connect": False}, "connection disabled")],
)
async def test_profiles_that_may_not_connect_are_told(
    room: Room, changes: dict[str, bool], reason: str
) -> None:
    token = room.log_in("ann", user(**changes))
    assert await (await room.open(f"{room.url}?token={token}")).end() == (reason, 1008)


async def test_the_api_token_cannot_connect() -> None:
    async with running_room(Settings.model_validate({"session": {"api_token": "machine"}})) as room:
        assert await (await room.open(f"{room.url}?token=machine")).end() == ("connection disabled", 1008)


@pytest.mark.parametrize("code", [1000, 1001])
async def test_leaving_disconnects_at_once(code: int) -> None:
    async with running_room() as room:  # with the usual delay, far longer than the test waits
        watcher = await room.join("bob", user())
        client = await room.join("ann", user())
        await watcher.until("session/state")
        await client.connection.close(code)
        state = await watcher.until("session/state")
        assert state["id"] == "ann"
        assert state["is_connected"] is False
        assert "connected_since" not in state
        assert state["not_connected_since"].endswith("Z")


@pytest.mark.parametrize("code", [None, 4000])
async def test_a_reset_connection_and_other_codes_disconnect_after_the_delay(code: int | None) -> None:
    async with running_room(Settings.model_validate({"session": {"disconnect_delay": 1}})) as room:
        seen = Recorder(room.sessions)
        client = await room.join("ann", user())
        session = room.session("ann")
        if code is None:
            abort(client.connection)
        else:
            await client.connection.close(code)
        await until(lambda: session.socket is None, within=5, what="the loss is noticed")
        connected = [session.is_connected]
        await until(lambda: not session.is_connected, within=5, what="the delay is over")
        assert connected == [True]
        assert [event for event, *_ in seen.take()] == ["created", "connecting", "connected", "disconnected"]


async def test_coming_back_in_time_goes_unnoticed() -> None:
    async with running_room() as room:
        watcher = await room.join("bob", user())
        client = await room.join("ann", user())
        await watcher.until("session/state")
        room.sessions.set_controller(room.session("ann"), room.session("ann"))
        await watcher.until("control/host")
        abort(client.connection)
        await until(lambda: room.session("ann").socket is None, within=5, what="the loss is noticed")
        await room.join("ann", user())
        state = await watcher.until("session/state")
        assert state["is_connected"] is True
        assert room.session("ann").is_controller


async def test_a_replacement_hears_everything_before_the_old_one_is_closed(room: Room) -> None:
    seen = Recorder(room.sessions)
    old = await room.join("ann", user())
    new = await room.open(f"{room.url}?token={room.tokens['ann']}")
    assert await new.receive_all(2) == ["system/init", "session/state"]
    assert await old.end() == ("connection replaced", 1000)
    new.id = "ann"
    assert await new.barrier() == []
    assert [event for event, *_ in seen.take()] == ["created", *["connecting", "connected"] * 2]


async def test_without_merciful_reconnect_the_second_one_is_refused() -> None:
    async with running_room(Settings.model_validate({"session": {"merciful_reconnect": False}})) as room:
        first = await room.join("ann", user())
        second = await room.open(f"{room.url}?token={room.tokens['ann']}")
        assert await second.end() == ("already connected", 1008)
        assert await first.barrier() == []


@pytest.mark.parametrize(
    ("how", "reason", "code"),
    [
        (lambda room: room.sessions.delete("ann"), "session deleted", 1008),
        (lambda room: room.sessions.disconnect("ann"), "session disconnected", 1008),
        (
            lambda room: room.sessions.update_profile(room.session("ann"), user(can_connect=False)),
            "profile changed",
            1008,
        ),
        (lambda room: room.sessions.shutdown(), "connection shutdown", 1001),
    ],
)
async def test_who_is_put_out_is_told_why(room: Room, how: object, reason: str, code: int) -> None:
    client = await room.join("ann", user())
    how(room)  # type: ignore[operator]
    assert await client.end() == (reason, code)


async def test_hooks_run_before_the_client_is_told_anything(room: Room) -> None:
    gate = asyncio.Event()

    async def hook(_: Session) -> None:
        await gate.wait()

    room.sessions.events.connecting.subscribe(hook)
    token = room.log_in("ann", user())
    client = await room.open(f"{room.url}?token={token}")
    await until(lambda: room.session("ann").is_connected, within=5, what="the hook runs")
    receiving = asyncio.create_task(client.receive())
    done, _ = await asyncio.wait({receiving}, timeout=0.1)
    assert not done
    gate.set()
    assert (await receiving)["event"] == "system/init"


async def test_a_client_that_leaves_under_the_hooks_is_let_go_of(room: Room) -> None:
    gate = asyncio.Event()

    async def hook(_: Session) -> None:
        await gate.wait()

    room.sessions.events.connecting.subscribe(hook)
    seen = Recorder(room.sessions)
    token = room.log_in("ann", user())
    client = await room.open(f"{room.url}?token={token}")
    await until(lambda: room.session("ann").is_connected, within=5, what="the hook runs")
    await client.connection.close(1001)
    gate.set()
    await until(lambda: ("disconnected", "ann") in seen.log, within=5, what="the hold ends")
    assert [event for event, *_ in seen.take()].count("disconnected") == 1


async def test_a_client_that_never_reads_is_closed_alone(room: Room) -> None:
    reader = await room.join("bob", admin())
    token = room.log_in("ann", user())
    stuck = socket.create_connection(("127.0.0.1", room.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with contextlib.closing(stuck):
        stuck.sendall(
            f"GET /api/ws?token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await until(lambda: room.session("ann").is_connected, within=5, what="the stuck client is in")
        body = "x" * 200_000
        for number in range(80):
            # the sender's own messages are never answered, so the reader's queue stays short
            await reader.send("send/broadcast", {"subject": str(number), "body": body})
        await reader.barrier()
        await until(
            lambda: room.metric("catnap_websocket_closed_slow_total") == 1, within=5, what="it is closed"
        )
        await until(lambda: not room.session("ann").is_connected, within=5, what="its session ends")
        assert "system/disconnect" not in [message["event"] for message in await reader.barrier()]
    assert room.metric("catnap_websocket_closed_slow_total") == 1


async def test_heartbeats_come_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamserver.websocket.manager.HEARTBEAT_INTERVAL", 0.05)
    async with running_room() as room:
        client = await room.join("ann", user())
        first, second = await client.receive(), await client.receive()
        assert first == second == {"event": "system/heartbeat"}
