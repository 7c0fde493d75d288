"""Every event, both ways, over real sockets: shapes, receivers and order."""

import asyncio
import re

import pytest

from streamserver.config import Settings
from streamserver.config.types import ScreenSize
from streamserver.desktop.browser import BrowserState
from streamserver.sessions.model import Session
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from streamserver.websocket.messages import Payload
from streamserver.websocket.metrics import CLIENT_EVENTS
from tests.sessions.doubles import admin, user
from tests.waiting import until
from tests.websocket.room import Message, Room, running_room

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PROFILE_KEYS = {
    "name",
    "is_admin",
    "can_login",
    "can_connect",
    "can_watch",
    "can_host",
    "can_share_media",
    "can_access_clipboard",
    "sends_inactive_cursor",
    "can_see_inactive_cursors",
    "plugins",
}
SETTINGS_KEYS = {
    "private_mode",
    "locked_logins",
    "locked_controls",
    "control_protection",
    "implicit_hosting",
    "inactive_cursors",
    "merciful_reconnect",
    "heartbeat_interval",
    "plugins",
}


async def test_what_an_admin_is_told_first(room: Room) -> None:
    room.log_in("ann", user())
    token = room.log_in("root", admin())
    client = await room.open(f"{room.url}?token={token}")
    init = await client.receive()
    assert init["event"] == "system/init"
    payload = init["payload"]
    assert payload.keys() == {
        "session_id",
        "control_host",
        "screen_size",
        "sessions",
        "settings",
        "touch_events",
        "screencast_enabled",
        "webrtc",
    }
    assert payload["session_id"] == "root"
    assert payload["control_host"] == {"id": "", "has_host": False}
    assert payload["screen_size"] == {"width": 1280, "height": 720, "rate": 30}
    assert payload["webrtc"] == {"videos": ["main"], "takes": ["audio"]}
    assert payload["settings"].keys() == SETTINGS_KEYS
    assert payload["sessions"].keys() == {"ann", "root"}
    assert payload["sessions"]["ann"]["profile"].keys() == PROFILE_KEYS
    assert payload["sessions"]["ann"]["state"] == {"is_connected": False, "is_watching": False}
    own = payload["sessions"]["root"]["state"]
    assert own["is_connected"] is True
    assert TIME.fullmatch(own["connected_since"])
    assert await client.receive() == {
        "event": "system/admin",
        "payload": {
            "screen_sizes_list": [
                {"width": 1920, "height": 1080, "rate": 30},
                {"width": 1280, "height": 720, "rate": 30},
            ],
            "broadcast_status": {"is_active": False},
        },
    }
    state = await client.receive()
    assert state["event"] == "session/state"
    assert state["payload"] == {"id": "root", **own}


async def test_an_admin_unlocks_protected_controls_between_init_and_state() -> None:
    async with running_room(Settings.model_validate({"session": {"control_protection": True}})) as room:
        token = room.log_in("root", admin())
        client = await room.open(f"{room.url}?token={token}")
        messages = [await client.receive() for _ in range(4)]
        assert [message["event"] for message in messages] == [
            "system/init",
            "system/admin",
            "system/settings",
            "session/state",
        ]
        assert messages[0]["payload"]["settings"]["locked_controls"] is True
        assert messages[2]["payload"]["locked_controls"] is False
        assert messages[2]["payload"]["id"] == "root"
        assert messages[2]["payload"].keys() == SETTINGS_KEYS | {"id"}


async def test_others_hear_of_logins_profiles_states_and_ends(room: Room) -> None:
    watcher = await room.join("bob", user())
    room.log_in("ann", user())
    created = await watcher.until("session/created")
    assert created.keys() == {"id", "profile", "state"}
    room.sessions.update_profile(room.session("ann"), user(name="Ann"))
    profile = await watcher.until("session/profile")
    assert profile.keys() == PROFILE_KEYS | {"id"}
    assert profile["name"] == "Ann"
    room.sessions.delete("ann")
    assert await watcher.receive() == {"event": "session/deleted", "payload": {"id": "ann"}}


async def test_control_passes_as_nekos_does(room: Room) -> None:
    ann, bob = await room.join("ann", user()), await room.join("bob", user())
    await ann.barrier()
    await ann.send("control/request")
    assert await ann.receive() == {
        "event": "control/host",
        "payload": {"id": "ann", "has_host": True, "host_id": "ann"},
    }
    await bob.send("control/request")
    assert await ann.receive() == {"event": "control/request", "payload": {"id": "bob"}}
    await ann.send("control/release")
    assert (await ann.receive())["payload"] == {"id": "ann", "has_host": False}
    assert room.desktop.input.calls == [("reset",), ("reset",)]
    await bob.send("control/release")
    assert [m["event"] for m in await bob.barrier()].count("control/host") == 2


async def test_leaving_releases_control_and_keys(room: Room) -> None:
    ann, bob = await room.join("ann", user()), await room.join("bob", user())
    await ann.send("control/request")
    await bob.until("control/host")
    await ann.connection.close()
    assert await bob.receive() == {"event": "control/host", "payload": {"id": "ann", "has_host": False}}
    assert (await bob.receive())["event"] == "session/state"
    assert room.desktop.input.take() == [("reset",), ("reset",)]


INPUT: list[tuple[Message, list[tuple[object, ...]]]] = [
    ({"event": "control/move", "payload": {"x": 3, "y": 4}}, [("move", 3, 4)]),
    ({"event": "control/scroll", "payload": {"delta_x": 1, "delta_y": -2}}, [("scroll", 1, -2, False)]),
    ({"event": "control/scroll", "payload": {"delta_y": 1, "control_key": True}}, [("scroll", 0, 1, True)]),
    ({"event": "control/scroll", "payload": {"x": 5, "y": 6}}, [("scroll", 5, 6, False)]),
    ({"event": "control/buttondown", "payload": {"code": 1}}, [("button_down", 1)]),
    (
        {"event": "control/buttondown", "payload": {"code": 1, "x": 0, "y": 9}},
        [("move", 0, 9), ("button_down", 1)],
    ),
    ({"event": "control/buttonup", "payload": {"code": 1}}, [("button_up", 1)]),
    ({"event": "control/buttonpress", "payload": {"code": 3}}, [("reset",), ("button_down", 3), ("reset",)]),
    ({"event": "control/keydown", "payload": {"keysym": 97}}, [("key_down", 97)]),
    ({"event": "control/keyup", "payload": {"keysym": 97}}, [("key_up", 97)]),
    (
        {"event": "control/keypress", "payload": {"keysym": 97, "x": 1, "y": 2}},
        [("move", 1, 2), ("keypress", 97)],
    ),
    ({"event": "control/cut"}, [("keypress", 0xFFE3, ord("x"))]),
    ({"event": "control/copy"}, [("keypress", 0xFFE3, ord("c"))]),
    ({"event": "control/select_all"}, [("keypress", 0xFFE3, ord("a"))]),
    ({"event": "control/paste", "payload": {}}, [("keypress", 0xFFE3, ord("v"))]),
    ({"event": "control/paste", "payload": None}, [("keypress", 0xFFE3, ord("v"))]),
    ({"event": "control/paste", "payload": {"text": "new"}}, [("keypress", 0xFFE3, ord("v"))]),
    ({"event": "control/move", "payload": {"X": 3, "Y": None, "more": 1}}, [("move", 3, 0)]),
    ({"event": "control/move", "payload": {"x": "3", "y": 4}}, []),
    ({"event": "control/move", "payload": {"x": 1.5, "y": 4}}, []),
    ({"event": "control/move", "payload": {"x": True, "y": 4}}, []),
    ({"event": "control/move", "payload": [1, 2]}, []),
    ({"event": "control/move", "payload": {"x": 2**40}}, []),
    ({"event": "control/move"}, []),
    ({"event": "control/keydown", "payload": {"keysym": -1}}, []),
]


@pytest.mark.parametrize(("message", "told"), INPUT)
async def test_input(room: Room, message: Message, told: list[tuple[object, ...]]) -> None:
    ann = await room.join("ann", user())
    await ann.send("control/request")
    await ann.until("control/host")
    room.desktop.input.take()
    await ann.send(message["event"], *([message["payload"]] if "payload" in message else []))
    await ann.barrier()
    calls = room.desktop.input.take()
    assert calls == told
    assert room.webrtc.moves == [("ann", *call[1:]) for call in calls if call[0] == "move"]


async def test_input_takes_free_control_and_asks_a_controller_only_now_and_then(room: Room) -> None:
    ann, bob = await room.join("ann", user()), await room.join("bob", user())
    await ann.barrier()
    await ann.send("control/move", {"x": 1, "y": 1})
    assert (await ann.receive())["payload"]["host_id"] == "ann"
    for x in range(50):
        await bob.send("control/move", {"x": x, "y": 2})
    await bob.barrier()
    assert room.desktop.input.take() == [("reset",), ("move", 1, 1)]
    asked = [message for message in await ann.barrier() if message["event"] == "control/request"]
    assert asked == [{"event": "control/request", "payload": {"id": "bob"}}]


async def test_private_mode_ends_the_input_of_users(room: Room) -> None:
    ann = await room.join("ann", user())
    await ann.send("control/request")
    await ann.until("control/host")
    room.sessions.update_room(None, private_mode=True)
    room.desktop.input.take()
    await ann.send("control/keydown", {"keysym": 97})
    await ann.barrier()
    assert room.desktop.input.take() == []


async def test_signalling(room: Room) -> None:
    ann = await room.join("ann", user())
    for event in ("signal/restart", "signal/answer", "signal/offer", "signal/candidate", "signal/video"):
        await ann.send(event, {"sdp": "v=0"})
    assert await ann.barrier() == []
    await ann.send("signal/request", {"video": {"auto": None}, "audio": {"disabled": True}, "auto": False})
    assert await ann.receive() == {
        "event": "signal/provide",
        "payload": {
            "sdp": "v=0 offer",
            "iceservers": [{"urls": ["stun:stun.example"]}],
            "video": {"disabled": False, "id": "main", "video": "main", "auto": False, "paused": False},
            "audio": {"disabled": True},
        },
    }
    assert (await ann.receive())["event"] == "signal/video"
    assert await ann.receive() == {"event": "signal/audio", "payload": {"disabled": True}}
    assert room.webrtc.requests == [(VideoRequest(auto=False), AudioRequest(disabled=True))]
    (peer,) = room.webrtc.peers
    peer.told.clear()
    candidate = {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None}
    await ann.send("signal/answer", {"sdp": "v=0 answer"})
    await ann.send("signal/answer", {"sdp": "junk"})
    await ann.send("signal/candidate", candidate)
    await ann.send("signal/video", {"disabled": False})
    await ann.send("signal/audio", {"disabled": None})
    assert await ann.barrier() == []
    assert peer.told == [
        ("answer", "v=0 answer"),
        ("candidate", candidate),
        ("video", VideoRequest(disabled=False)),
        ("audio", AudioRequest()),
    ]
    await ann.send("signal/offer", {"sdp": "v=0 mine"})
    assert await ann.receive() == {"event": "signal/answer", "payload": {"sdp": "v=0 our answer"}}
    await ann.send("signal/restart")
    assert await ann.receive() == {"event": "signal/restart", "payload": {"sdp": "v=0 restarted"}}
    await ann.send("signal/video", {"disabled": True})
    assert (await ann.receive())["payload"]["disabled"] is True
    await ann.send("signal/audio", {"disabled": True})
    assert await ann.receive() == {"event": "signal/audio", "payload": {"disabled": True}}
    session = room.session("ann")
    room.sessions.set_watching(session, peer, True)
    state = await ann.receive()
    assert state["payload"]["is_watching"] is True
    assert TIME.fullmatch(state["payload"]["watching_since"])
    room.sessions.set_media(session, None)
    assert (await ann.receive())["payload"]["is_watching"] is False
    assert await ann.receive() == {"event": "signal/close", "payload": None}


async def test_who_may_not_watch_is_offered_nothing(room: Room) -> None:
    ann = await room.join("ann", user(can_watch=False))
    await ann.send("signal/request", {"video": {}, "audio": {}})
    assert await ann.barrier() == []
    assert room.webrtc.requests == []


async def test_the_screen_is_the_admins_and_everybody_hears(room: Room) -> None:
    root, ann = await room.join("root", admin()), await room.join("ann", user())
    await root.barrier()
    await ann.send("screen/set", {"width": 800, "height": 600, "rate": 30})
    await ann.barrier()
    await root.send("screen/set", {"width": 5000, "height": 600, "rate": 30})
    assert await root.barrier() == []
    await root.send("screen/set", {"width": 1001, "height": 600})
    expected = {"id": "root", "width": 1000, "height": 600, "rate": 60}
    assert await ann.receive() == {"event": "screen/updated", "payload": expected}
    room.desktop.on_screen_changed.emit(ScreenSize(640, 480, 30))
    assert (await ann.receive())["payload"] == {"id": "", "width": 640, "height": 480, "rate": 30}
    assert len(await root.barrier()) == 2


async def test_everybody_hears_what_became_of_the_browser(room: Room) -> None:
    ann = await room.join("ann", user())
    assert await ann.barrier() == []
    for state in (BrowserState.CRASHED, BrowserState.WAITING):
        room.desktop.browser_state = state
        room.desktop.on_browser_state.emit(state)
        assert await ann.receive() == {"event": "browser/state", "payload": {"state": state.value}}
    late = await room.open(f"{room.url}?token={room.log_in('bob', user())}")
    messages = [await late.receive() for _ in range(3)]
    assert [message["event"] for message in messages] == ["system/init", "session/state", "browser/state"]
    assert messages[2]["payload"] == {"state": "waiting"}


async def test_messages_between_clients(room: Room) -> None:
    ann, bob, cid = [await room.join(name, user()) for name in ("ann", "bob", "cid")]
    for client in (ann, bob):
        await client.barrier()
    await ann.send(
        "send/unicast", {"receiver": "bob", "subject": "hi", "body": {"deep": [1, None, "\ud800"]}}
    )
    assert await bob.receive() == {
        "event": "send/unicast",
        "payload": {
            "sender": "ann",
            "receiver": "bob",
            "subject": "hi",
            "body": {"deep": [1, None, "\ud800"]},
        },
    }
    await ann.send("send/unicast", {"receiver": "nobody", "subject": "hi"})
    await ann.send("send/broadcast", {"subject": "all"})
    for client in (bob, cid):
        assert await client.receive() == {
            "event": "send/broadcast",
            "payload": {"sender": "ann", "subject": "all", "body": None},
        }
    assert await ann.barrier() == []


async def test_unknown_events_are_offered_to_plugins_in_order(room: Room) -> None:
    offered: list[tuple[str, str, Payload]] = []

    def broken(session: Session, event: str, payload: Payload) -> bool:
        raise RuntimeError("broken plugin")

    def first(session: Session, event: str, payload: Payload) -> bool:
        offered.append(("first", event, payload))
        return event == "chat/message"

    def second(session: Session, event: str, payload: Payload) -> bool:
        offered.append(("second", event, payload))
        return True

    room.manager.add_handler(broken)
    room.manager.add_handler(first)
    remove = room.manager.add_handler(second)
    ann = await room.join("ann", user())
    await ann.send("chat/message", {"text": "hello"})
    await ann.send("other/thing", None)
    await ann.send("control/move", {"x": 1, "y": 1})
    await ann.barrier()
    remove()
    await ann.send("another/thing", None)
    await ann.barrier()
    assert offered == [
        ("first", "chat/message", {"text": "hello"}),
        ("first", "other/thing", None),
        ("second", "other/thing", None),
        ("first", "another/thing", None),
    ]
    assert room.metric("catnap_websocket_messages_total", direction="in", event="other") == 3


async def test_the_messages_of_one_client_are_handled_one_after_the_other(room: Room) -> None:
    ann = await room.join("ann", user())
    entered, gate = asyncio.Event(), asyncio.Event()
    create_peer = room.webrtc.create_peer

    async def slow(session: Session, /, video: VideoRequest, audio: AudioRequest) -> object:
        entered.set()
        await gate.wait()
        return await create_peer(session, video, audio)

    room.webrtc.create_peer = slow  # type: ignore[method-assign, assignment]
    await ann.send("signal/request", {})
    await ann.send("control/request")
    async with asyncio.timeout(5):
        await entered.wait()
    other = await room.join("bob", user())
    await other.barrier()
    assert room.sessions.controller is None
    gate.set()
    await until(lambda: room.sessions.controller, within=5, what="the second message is handled")
    assert (await ann.until("signal/provide"))["sdp"] == "v=0 offer"


async def test_every_known_event_has_a_handler(room: Room) -> None:
    assert set(room.manager._table) == CLIENT_EVENTS
