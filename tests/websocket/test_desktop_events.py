"""Fingers, the keyboard's layout and locks, and the dialog that asks for files."""

from tests.sessions.doubles import admin, user
from tests.websocket.room import Room


def locked(room: Room) -> set[str]:
    return {name for name, on in room.desktop.keyboard.modifiers.items() if on}


async def test_fingers_take_control_and_are_passed_on(room: Room) -> None:
    ann = await room.join("ann", user())
    touch = room.desktop.touch
    await ann.send("control/touchbegin", {"touch_id": 3, "x": 10, "y": 20, "pressure": 100})
    await ann.send("control/touchupdate", {"touch_id": 3, "x": 11, "y": 21, "pressure": 100})
    await ann.send("control/touchend", {"touch_id": 3, "x": 11, "y": 21})
    await ann.barrier()
    assert touch.calls == [
        ("reset",), ("begin", 3, 10, 20, 100), ("update", 3, 11, 21, 100), ("end", 3, 11, 21),
    ]  # fmt: skip
    bob = await room.join("bob", user())
    await bob.send("control/touchbegin", {"touch_id": 1, "x": 1, "y": 1})
    await bob.barrier()
    assert len(touch.calls) == 4
    # neko [Q]: a touch without a place crashes its handler
    await ann.send("control/touchbegin", {"touch_id": 4})
    await ann.barrier()
    assert touch.calls[-1] == ("begin", 4, 0, 0, 0)


async def test_layout_and_locks_are_of_whoever_has_control(room: Room) -> None:
    ann = await room.join("ann", user())
    await ann.send("keyboard/map", {"layout": "de", "variant": ""})
    await ann.send("keyboard/modifiers", {"shift": True})
    await ann.barrier()
    assert room.desktop.keyboard.layout.layout == "us"
    assert "shift" not in locked(room)
    await ann.send("control/request")
    await ann.send("keyboard/map", {"layout": "de", "variant": ""})
    await ann.send("keyboard/map", {"layout": "no such"})
    await ann.send("keyboard/modifiers", {"shift": True, "alt": None})
    await ann.barrier()
    assert room.desktop.keyboard.layout.layout == "de"
    assert locked(room) == {"shift"}
    await ann.send("control/release")
    await ann.barrier()
    assert locked(room) == set()


async def test_everybody_hears_of_a_dialog_and_nobodys_is_closed(room: Room) -> None:
    ann = await room.join("ann", user())
    room.desktop.file_chooser.open()
    assert await ann.until("file_chooser_dialog/closed") == {"id": ""}
    await ann.send("control/request")
    await ann.until("control/host")
    room.desktop.file_chooser.open()
    assert await ann.until("file_chooser_dialog/opened") == {"id": "ann"}
    root = await room.join("root", admin())
    assert await root.until("file_chooser_dialog/opened") == {"id": "ann"}
    await ann.send("control/release")
    assert await root.until("file_chooser_dialog/closed") == {"id": ""}
    assert not room.desktop.file_chooser.is_open
