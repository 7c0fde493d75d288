"""The chat among real connections: who may say and read what, and what is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.chat import plugin
from plugins.chat.allowance import Allowance
from plugins.chat.messages import BadText, read_text
from plugins.chat.settings import ChatSettings
from streamserver.members.profile import MemberProfile
from streamserver.plugins.permission import is_permitted
from streamserver.sessions.model import ABSENT, RoomSettings, Session, SessionId
from tests.api.running import API_TOKEN
from tests.plugins.hosting import Hosted, hosting

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def chatting(run_dir: Path, **settings: Any) -> AsyncIterator[Hosted]:
    async with hosting(plugin(), ChatSettings.model_validate(settings), run_dir) as hosted:
        yield hosted


async def test_a_message_reaches_everybody_its_sender_too(tmp_path: Path) -> None:
    async with chatting(tmp_path) as room:
        ann, bob = await room.join("ann"), await room.join("bob")
        assert await ann.hear("chat/init") == {"enabled": True}
        assert await bob.hear("chat/init") == {"enabled": True}
        await ann.send("chat/message", {"text": "<b>hi</b>\n\ud800 🐈"})
        for person in (ann, bob):
            message = await person.hear("chat/message")
            assert message["id"] == "ann"
            assert message["content"] == {"text": "<b>hi</b>\n\ud800 🐈"}
            assert datetime.fromisoformat(message["created"]).tzinfo is not None


async def test_the_room_and_the_profile_decide_who_may(tmp_path: Path) -> None:
    async with chatting(tmp_path) as room:
        ann, ada = await room.join("ann"), await room.join("ada", admin=True)
        mute = await room.join("mute", plugins={"chat.can_send": False})
        deaf = await room.join("deaf", admin=True, plugins={"chat.can_receive": False})
        await mute.send("chat/message", {"text": "from the mute one"})
        await deaf.send("chat/message", {"text": "from the deaf one"})
        heard = [(await person.hear("chat/message"))["id"] for person in (ann, ada, mute)]
        assert heard == ["deaf"] * 3
        assert await deaf.heard("chat/message") == []

        room.server.sessions.update_room(None, plugins={"chat.can_send": False})
        await ann.send("chat/message", {"text": "locked"})
        assert await ann.heard("chat/message") == []
        await ada.send("chat/message", {"text": "locks do not bind admins"})
        assert (await ann.hear("chat/message"))["id"] == "ada"

        room.server.sessions.update_room(None, plugins={"chat.can_send": None, "chat.can_receive": False})
        await ann.send("chat/message", {"text": "admins alone"})
        assert (await ada.hear("chat/message"))["id"] == "ada"
        assert (await ada.hear("chat/message"))["content"] == {"text": "admins alone"}
        assert await ann.heard("chat/message") == []


async def test_administrators_and_programs_speak_by_a_route(tmp_path: Path) -> None:
    async with chatting(tmp_path, max_length=10) as room:
        ann, ada = await room.join("ann"), await room.join("ada", admin=True)
        quiet = await room.join("quiet", admin=True, plugins={"chat.can_send": False})

        async def post(token: str, body: object) -> tuple[int, str]:
            async with room.server.client(token) as client:
                answer = await client.post("/api/chat", json=body)
                return answer.status_code, answer.json()["message"] if answer.content else ""

        assert await post(API_TOKEN, {"text": "from a bot"}) == (204, "")
        assert (await ann.hear("chat/message"))["id"] == "API"
        assert await post(ada.token, {"text": "hello"}) == (204, "")
        assert (await ann.hear("chat/message"))["id"] == "ada"
        assert await post(ann.token, {"text": "hello"}) == (403, "session is not admin")
        assert await post(quiet.token, {"text": "hello"}) == (403, "not allowed to send chat messages")
        assert await post(ada.token, {}) == (400, "unable to parse provided data")
        assert await post(ada.token, {"text": " "}) == (400, "the message is empty")
        status, why = await post(ada.token, {"text": "x" * 11})
        assert status == 400
        assert "chat.max_length allows 10" in why
        assert await ann.heard("chat/message") == []


async def test_without_a_chat_clients_are_told_so(tmp_path: Path) -> None:
    async with chatting(tmp_path, enabled=False) as room:
        ada = await room.join("ada", admin=True)
        assert await ada.hear("chat/init") == {"enabled": False}
        await ada.send("chat/message", {"text": "hello"})
        assert await ada.heard("chat/message") == []
        async with room.server.client(ada.token) as client:
            assert (await client.post("/api/chat", json={"text": "hello"})).status_code == 403


async def test_a_flood_is_dropped_and_the_others_are_not(tmp_path: Path) -> None:
    async with chatting(tmp_path, rate=0.1) as room:
        ann, bob = await room.join("ann"), await room.join("bob")
        await asyncio.gather(*(ann.send("chat/message", {"text": str(n)}) for n in range(200)))
        said = [message["content"]["text"] for message in await ann.heard("chat/message")]
        assert said == [str(n) for n in range(10)]
        await bob.send("chat/message", {"text": "me too"})
        heard = await bob.heard("chat/message")
        assert [message["id"] for message in heard] == ["ann"] * 10 + ["bob"]


async def test_after_shutdown_it_is_gone(tmp_path: Path) -> None:
    async with chatting(tmp_path) as room:
        await room.plugin.shutdown()
        ann = await room.join("ann")
        await ann.send("chat/message", {"text": "hello"})
        assert await ann.heard("chat/init") == []


@pytest.mark.parametrize("payload", [ABSENT, None, [], "text", {}, {"text": 3}, {"text": ""}, {"text": "\n"}])
def test_what_is_no_message(payload: Any) -> None:
    with pytest.raises(BadText):
        read_text(payload, 100)


@given(st.lists(st.floats(0, 30), max_size=200), st.floats(0.1, 20), st.integers(1, 30))
def test_nobody_says_more_than_is_allowed(pauses: list[float], rate: float, burst: int) -> None:
    allowance, ann, now = Allowance(rate, burst), SessionId("ann"), 0.0
    passed = [now := now + pause for pause in pauses if allowance.take(ann, now + pause)]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - passed[first]) + 1e-6


@pytest.mark.parametrize(
    ("admin", "for_room", "for_member", "expected"),
    [
        (False, None, None, True),
        (False, {"x": False}, {"x": True}, False),
        (True, {"x": False}, None, True),
        (True, None, {"x": False}, False),
        (False, {"x": "yes"}, None, False),
        (False, {"y": False}, {"x": None}, True),
    ],
)
def test_both_the_room_and_the_member_can_turn_it_off(
    admin: bool, for_room: Any, for_member: Any, expected: bool
) -> None:
    ann = Session(SessionId("ann"), MemberProfile(is_admin=admin, plugins=for_member))
    assert is_permitted("x", ann, RoomSettings(plugins=for_room)) is expected


def test_the_documentation_has_it_all() -> None:
    text = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    for name in ChatSettings.model_fields:
        assert f"`chat.{name}`" in text
    for name in ("chat/init", "chat/message", "chat.can_send", "chat.can_receive", "POST /api/chat"):
        assert f"`{name}" in text
