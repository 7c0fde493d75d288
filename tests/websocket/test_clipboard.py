"""`clipboard/*` and `control/paste`: who may, and who hears of it."""

from streamserver.desktop.clipboard import ClipboardText
from tests.sessions.doubles import user
from tests.websocket.room import Room

PASTE = ("keypress", 0xFFE3, ord("v"))


async def test_only_who_has_control_sets_and_hears(room: Room) -> None:
    ann = await room.join("ann", user())
    bob = await room.join("bob", user())
    await bob.send("clipboard/set", {"text": "not mine to set"})
    await bob.barrier()
    assert room.desktop.clipboard.content == ClipboardText()
    await ann.send("control/request")
    await ann.until("control/host")
    await ann.send("clipboard/set", {"text": "from home"})
    assert await ann.until("clipboard/updated") == {"text": "from home"}
    room.desktop.clipboard.on_changed.emit("copied in a page")
    assert await ann.until("clipboard/updated") == {"text": "copied in a page"}
    assert not [message for message in await bob.barrier() if message["event"] == "clipboard/updated"]


async def test_the_right_to_the_clipboard_is_needed(room: Room) -> None:
    eve = await room.join("eve", user(can_access_clipboard=False))
    await eve.send("control/request")
    await eve.until("control/host")
    room.desktop.input.take()
    await eve.send("clipboard/set", {"text": "x"})
    await eve.send("control/paste", {"text": "x"})
    await eve.barrier()
    assert room.desktop.input.take() == []
    room.desktop.clipboard.on_changed.emit("secret")
    assert not [message for message in await eve.barrier() if message["event"] == "clipboard/updated"]
    await eve.send("control/paste", {})
    await eve.barrier()
    assert room.desktop.input.take() == [PASTE]


async def test_a_text_that_cannot_be_put_in_is_not_pasted(room: Room) -> None:
    ann = await room.join("ann", user())
    await ann.send("control/paste", {"text": "good"})
    await ann.barrier()
    assert room.desktop.clipboard.content == ClipboardText("good")
    assert PASTE in room.desktop.input.take()
    room.desktop.clipboard.broken = True
    await ann.send("control/paste", {"text": "another would come out"})
    await ann.barrier()
    assert room.desktop.input.take() == []
