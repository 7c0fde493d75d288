"""What a version 2 client says, as messages and requests of version 3. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import JsonValue

from streamserver.sessions.model import ABSENT
from streamserver.websocket.messages import BadMessage, Payload

Fields = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Say:
    """A message of version 3."""

    event: str
    payload: Payload = ABSENT


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of version 3; `answer` is the event that its answer is sent back as, if any."""

    method: str
    path: str
    body: JsonValue = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Echo:
    """A message of version 2 back to the client."""

    event: str
    fields: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Ban:
    """Shut out the address of a session; for admins."""

    session: str


Action = Say | Ask | Echo | Ban


def translate(event: str, fields: Fields, *, own_id: str, own_name: str) -> list[Action]:
    """Return what to do for one message; raises `BadMessage` for one that is not known or not complete."""
    handler = _TABLE.get(event)
    if handler is not None:
        return handler(fields)
    if event == "signal/answer":
        return _answer(fields, own_name)
    if event == "chat/emote":
        emote = fields.get("emote")
        return [
            Echo("chat/emote", {"id": own_id, "emote": emote}),
            Say("send/broadcast", {"subject": "emote", "body": emote}),
        ]
    raise BadMessage(f"unknown event of version 2: {event[:64]}")


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise BadMessage(f"{name} is no text")
    return value


def _id(fields: Fields) -> str:
    return quote(_text(fields, "id"), safe="", errors="replace")


def _answer(fields: Fields, own_name: str) -> list[Action]:
    actions: list[Action] = []
    name = _text(fields, "displayname")
    if name and not own_name:
        actions.append(Ask("POST", "/api/profile", {"name": name}))
    # a picture with the pointer in it, where the server has one by this name
    pointer: JsonValue = {"selector": {"type": "exact", "id": "legacy", "bitrate": 0}}
    return [*actions, Say("signal/video", pointer), Say("signal/answer", {"sdp": _text(fields, "sdp")})]


def _candidate(fields: Fields) -> list[Action]:
    try:
        return [Say("signal/candidate", json.loads(_text(fields, "data")))]
    except (ValueError, RecursionError):
        raise BadMessage("the candidate is no JSON") from None


def _keyboard(fields: Fields) -> list[Action]:
    actions: list[Action] = []
    if fields.get("layout") is not None:
        actions.append(Say("keyboard/map", {"layout": fields["layout"], "variant": ""}))
    locks = {"capslock": fields.get("capsLock"), "numlock": fields.get("numLock")}
    known: dict[str, JsonValue] = {name: on for name, on in locks.items() if on is not None}
    return [*actions, *([Say("keyboard/modifiers", known)] if known else [])]


def _lock(locked: bool) -> Callable[[Fields], list[Action]]:
    def change(fields: Fields) -> list[Action]:
        resource = _text(fields, "resource")
        settings: Mapping[str, JsonValue] = {
            "login": {"locked_logins": locked},
            "control": {"locked_controls": locked},
            "file_transfer": {"plugins": {"filetransfer.enabled": not locked}},
        }
        if resource not in settings:
            raise BadMessage(f"no such lock: {resource[:64]}")
        return [Ask("POST", "/api/room/settings", settings[resource])]

    return change


def _mute(muted: bool) -> Callable[[Fields], list[Action]]:
    def change(fields: Fields) -> list[Action]:
        return [Ask("POST", f"/api/members/{_id(fields)}", {"plugins": {"chat.can_send": not muted}})]

    return change


def _kick(fields: Fields) -> Ask:
    return Ask("POST", f"/api/members/{_id(fields)}", {"can_login": False})


def _give(fields: Fields) -> list[Action]:
    return [Ask("POST", f"/api/room/control/give/{_id(fields)}")]


def _pick(*names: str) -> Callable[[Fields], dict[str, JsonValue]]:
    return lambda fields: {name: fields[name] for name in names if name in fields}


_SIZE = _pick("width", "height", "rate")

_TABLE: Mapping[str, Callable[[Fields], list[Action]]] = {
    "client/heartbeat": lambda _: [],
    "signal/offer": lambda fields: [Say("signal/offer", {"sdp": _text(fields, "sdp")})],
    "signal/candidate": _candidate,
    "control/request": lambda _: [Say("control/request")],
    "control/release": lambda _: [Say("control/release")],
    "control/give": _give,
    "control/clipboard": lambda fields: [Say("clipboard/set", {"text": _text(fields, "text")})],
    "control/keyboard": _keyboard,
    "chat/message": lambda fields: [Say("chat/message", {"text": _text(fields, "content")})],
    "filetransfer/refresh": lambda _: [Say("filetransfer/update", {})],
    "openinapp/openlink": lambda fields: [
        Ask("POST", "/api/openinapp/openlink", {"text": _text(fields, "text")})
    ],
    "screen/resolution": lambda _: [Ask("GET", "/api/room/screen", answer="screen/resolution")],
    "screen/configurations": lambda _: [
        Ask("GET", "/api/room/screen/configurations", answer="screen/configurations")
    ],
    "screen/set": lambda fields: [Say("screen/set", _SIZE(fields))],
    "broadcast/create": lambda fields: [
        Ask("POST", "/api/room/broadcast/start", {"url": _text(fields, "url")})
    ],
    "broadcast/destroy": lambda _: [Ask("POST", "/api/room/broadcast/stop")],
    "admin/lock": _lock(True),
    "admin/unlock": _lock(False),
    "admin/control": lambda _: [Ask("POST", "/api/room/control/take")],
    "admin/release": lambda _: [Ask("POST", "/api/room/control/reset")],
    "admin/give": _give,
    "admin/kick": lambda fields: [_kick(fields)],
    "admin/ban": lambda fields: [Ban(_text(fields, "id")), _kick(fields)],
    "admin/mute": _mute(True),
    "admin/unmute": _mute(False),
}
"""What needs nothing but its own fields."""

CLIENT_EVENTS = frozenset({*_TABLE, "signal/answer", "chat/emote"})
"""Everything a version 2 client may say."""
