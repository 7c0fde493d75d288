"""Messages of version 3 as a version 2 client knows them. Pure: only what came before is kept.

Source: the behaviour of neko's own translator. Messages of version 2 are flat: no `payload`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

Fields = dict[str, Any]
"""A message's parts: JSON of the shape `docs/legacy.md` gives."""

KICKED = "kicked"
"""What a version 2 client is told when its profile forbids it to stay; it then forgets its login."""

LOCKS = {"login": "locked_logins", "control": "locked_controls"}
"""What can be locked, with the room's setting."""
FILES_SETTING = "filetransfer.enabled"
CHAT_SETTING = "chat.can_send"


class ToClient:
    """Translates for one client, in order."""

    def __init__(self, session_id: str, *, file_transfer: bool) -> None:
        """`file_transfer`: whether the server has files to share at all."""
        self._id = session_id
        self._file_transfer = file_transfer
        self._sessions: dict[str, Fields] = {}
        self._shown: set[str] = set()
        self._locks: dict[str, bool] = {}
        self._last_actor = ""
        self._table: Mapping[str, Callable[[Fields], list[Fields]]] = {
            "system/init": self._init,
            "system/admin": self._admin,
            "system/settings": self._settings,
            "system/disconnect": self._disconnect,
            "session/created": self._created,
            "session/deleted": self._deleted,
            "session/profile": self._profile,
            "session/state": self._state,
            "control/host": self._control,
            "signal/provide": self._provide,
            "filetransfer/update": self._files,
        }

    @property
    def name(self) -> str:
        """The client's own name."""
        return str(self._profile_of(self._id).get("name", ""))

    def translate(self, event: str, payload: object) -> list[Fields]:
        """Return what to send for one message; nothing for what version 2 does not know."""
        fields = cast("Fields", payload) if isinstance(payload, dict) else {}
        if (special := self._table.get(event)) is not None:
            return special(fields)
        if (simple := _SIMPLE.get(event)) is not None:
            return simple(fields)
        if event == "signal/answer":
            return [{"event": event, "displayname": self.name, "sdp": fields.get("sdp", "")}]
        return []

    def _init(self, fields: Fields) -> list[Fields]:
        # what is kept is changed later, and others are told the same objects
        self._sessions = {one: dict(found) for one, found in fields["sessions"].items()}
        connected = [one for one, found in self._sessions.items() if found["state"]["is_connected"]]
        self._shown = set(connected) | {self._id}
        settings = fields["settings"]
        self._locks = self._locked(settings)
        host = fields["control_host"]
        self._last_actor = ""
        return [
            {"event": "member/list", "members": [self._member(one) for one in self._shown]},
            {"event": "screen/resolution", **fields["screen_size"]},
            *([{"event": "control/locked", "id": host["host_id"]}] if host["has_host"] else []),
            {
                "event": "system/init",
                "implicit_hosting": settings["implicit_hosting"],
                "locks": {name: "" for name, locked in self._locks.items() if locked},
                "file_transfer": self._file_transfer,
                "heartbeat_interval": settings["heartbeat_interval"],
            },
        ]

    def _admin(self, fields: Fields) -> list[Fields]:
        return [configurations(fields["screen_sizes_list"]), broadcast(fields["broadcast_status"])]

    def _settings(self, fields: Fields) -> list[Fields]:
        before, self._locks = self._locks, self._locked(fields)
        return [
            {"event": "admin/lock" if locked else "admin/unlock", "resource": name, "id": fields["id"]}
            for name, locked in self._locks.items()
            if locked != before.get(name, False)
        ]

    def _disconnect(self, fields: Fields) -> list[Fields]:
        message = str(fields.get("message", ""))
        told = KICKED if message == "profile changed" else message
        return [{"event": "system/disconnect", "title": fields.get("title", "disconnected"), "message": told}]

    def _created(self, fields: Fields) -> list[Fields]:
        self._sessions[fields["id"]] = dict(fields)
        return []

    def _deleted(self, fields: Fields) -> list[Fields]:
        self._sessions.pop(fields["id"], None)
        return self._hide(fields["id"])

    def _profile(self, fields: Fields) -> list[Fields]:
        session = fields["id"]
        if session not in self._sessions:
            return []
        was_muted = self._is_muted(session)
        self._sessions[session]["profile"] = {key: item for key, item in fields.items() if key != "id"}
        muted = self._is_muted(session)
        messages = self._show(session)
        if muted != was_muted:
            event = "admin/mute" if muted else "admin/unmute"
            messages.append({"event": event, "id": "", "target": session})
        return messages

    def _state(self, fields: Fields) -> list[Fields]:
        session = fields["id"]
        if session not in self._sessions:
            return []
        self._sessions[session]["state"] = fields
        if not fields["is_connected"]:
            return self._hide(session)
        shown = self._show(session)
        if shown and self._is_muted(session):
            shown.append({"event": "admin/mute", "id": "", "target": session})
        return shown

    def _show(self, session: str) -> list[Fields]:
        found = self._sessions[session]
        if session in self._shown or not found["state"]["is_connected"] or not found["profile"]["name"]:
            return []
        self._shown.add(session)
        return [{"event": "member/connected", **self._member(session)}]

    def _hide(self, session: str) -> list[Fields]:
        if session not in self._shown or session == self._id:
            return []
        self._shown.discard(session)
        return [{"event": "member/disconnected", "id": session}]

    def _control(self, fields: Fields) -> list[Fields]:
        """Tell by who acted last whether control was taken, given, released, or taken away."""
        actor, previous = fields["id"], self._last_actor
        if fields["has_host"]:
            host = fields["host_id"]
            self._last_actor = actor
            if actor == host and previous not in ("", actor):
                return [{"event": "admin/control", "id": actor, "target": previous}]
            if actor in ("", host):
                return [{"event": "control/locked", "id": host}]
            return [{"event": "control/give", "id": actor, "target": host}]
        self._last_actor = ""
        return [{"event": "control/release" if actor == previous else "admin/release", "id": actor}]

    def _provide(self, fields: Fields) -> list[Fields]:
        servers = [
            {
                "urls": server["urls"],
                **({"username": server["username"]} if server.get("username") else {}),
                "credential": server.get("credential") or "",
                "credentialType": "password",
            }
            for server in fields["iceservers"]
        ]
        return [
            {
                "event": "signal/provide", "id": self._id, "sdp": fields["sdp"],
                "lite": not servers, "ice": servers,
            }
        ]  # fmt: skip

    def _files(self, fields: Fields) -> list[Fields]:
        files = [{"size": 0, **file} for file in fields.get("files") or []]
        rights = {name: fields.get(name, False) for name in ("user_download", "user_upload", "user_delete")}
        return [{"event": "filetransfer/list", "cwd": fields.get("root_dir", ""), **rights, "files": files}]

    def _member(self, session: str) -> Fields:
        profile = self._profile_of(session)
        return {
            "id": session,
            "displayname": profile.get("name", ""),
            "admin": profile.get("is_admin", False),
            "muted": self._is_muted(session),
        }

    def _profile_of(self, session: str) -> Fields:
        return cast("Fields", self._sessions.get(session, {}).get("profile", {}))

    def _is_muted(self, session: str) -> bool:
        return (self._profile_of(session).get("plugins") or {}).get(CHAT_SETTING) is False

    @staticmethod
    def _locked(settings: Fields) -> dict[str, bool]:
        locks = {name: bool(settings[setting]) for name, setting in LOCKS.items()}
        locks["file_transfer"] = (settings.get("plugins") or {}).get(FILES_SETTING) is False
        return locks


def configurations(sizes: list[Fields]) -> Fields:
    """Return screen sizes as version 2 lists them: by number, the rates of a size together."""
    grouped: dict[tuple[int, int], list[int]] = {}
    for size in sizes:
        grouped.setdefault((size["width"], size["height"]), []).append(size["rate"])
    listed = {
        str(number): {
            "width": width, "height": height,
            "rates": {str(index): rate for index, rate in enumerate(rates)},
        }
        for number, ((width, height), rates) in enumerate(grouped.items())
    }  # fmt: skip
    return {"event": "screen/configurations", "configurations": listed}


def broadcast(status: Fields) -> Fields:
    """Return the status of the broadcast."""
    return {
        "event": "broadcast/status",
        "url": status.get("url", ""),
        "isActive": status.get("is_active", False),
    }


def _emote(fields: Fields) -> list[Fields]:
    if fields.get("subject") != "emote":
        return []
    return [{"event": "chat/emote", "id": fields.get("sender", ""), "emote": fields.get("body")}]


def _chat(fields: Fields) -> list[Fields]:
    content = fields.get("content") or {}
    return [{"event": "chat/message", "id": fields.get("id", ""), "content": content.get("text", "")}]


_SIMPLE: Mapping[str, Callable[[Fields], list[Fields]]] = {
    "control/request": lambda fields: [{"event": "control/requesting", "id": fields["id"]}],
    "clipboard/updated": lambda fields: [{"event": "control/clipboard", "text": fields["text"]}],
    "screen/updated": lambda fields: [{"event": "screen/resolution", **fields}],
    "broadcast/status": lambda fields: [broadcast(fields)],
    "signal/offer": lambda fields: [{"event": "signal/offer", "sdp": fields["sdp"]}],
    "signal/candidate": lambda fields: [{"event": "signal/candidate", "data": json.dumps(fields)}],
    "chat/message": _chat,
    "send/broadcast": _emote,
    "openinapp/init": lambda fields: [{"event": "openinapp/init", "enabled": bool(fields.get("enabled"))}],
}
"""Messages whose translation needs nothing that came before."""
