"""The pointers of those who do not control."""

import pytest

from streamserver.websocket import inactive_cursors
from tests.sessions.doubles import admin, user
from tests.websocket.room import Room

SHOWN = [{"id": "ann", "cursors": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}]


async def test_ways_are_shown_once_and_only_to_those_who_may(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inactive_cursors, "INTERVAL", 0.05)
    await room.join("ann", user(sends_inactive_cursor=True))
    bob = await room.join("bob", user(can_see_inactive_cursors=False))
    root = await room.join("root", admin(can_see_inactive_cursors=True))
    room.session("ann").cursor_trail.append((9, 9))  # before it was switched on
    room.sessions.update_room(room.session("root"), inactive_cursors=True)
    room.session("ann").cursor_trail.extend([(1, 2), (3, 4)])
    assert await root.until("session/cursors") == SHOWN
    assert await root.until("session/cursors") == []
    room.session("ann").cursor_trail.extend((5, 5) for _ in range(1000))
    assert len((await root.until("session/cursors"))[0]["cursors"]) == 128
    assert await root.until("session/cursors") == []
    room.sessions.update_room(room.session("root"), inactive_cursors=False)
    assert await root.until("session/cursors") == []
    assert not [message for message in await bob.barrier() if message["event"] == "session/cursors"]
