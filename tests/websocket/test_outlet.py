"""Many clients: what is sent to all of them is made once, and writing it leaves the event loop free."""

import asyncio
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from streamserver.legacy.to_client import ToClient
from streamserver.websocket import outlet, peer
from streamserver.websocket.outlet import Outlet, text_frame
from streamserver.websocket.peer import PartlyEncoded, encode
from tests.sessions.doubles import user
from tests.waiting import until
from tests.websocket.room import Room


@given(st.text(st.characters(max_codepoint=127), max_size=300) | st.sampled_from([125, 126, 65535, 65536]))
def test_a_frame_is_the_library_s(content: str | int) -> None:
    text = content if isinstance(content, str) else "x" * content
    assert text_frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text()), st.text(), st.text())
def test_what_is_partly_encoded_is_the_same_json(others: dict[str, object], key: str, value: str) -> None:
    payload = {**{name: item for name, item in others.items() if name != key}, key: [value]}
    partly = PartlyEncoded(payload, key, json.dumps([value]))
    assert encode("some/event", partly) == encode("some/event", payload)


class Slow:
    """A client whose write takes half a slice."""

    def __init__(self, name: int, clock: Callable[[float], None], order: list[str]) -> None:
        self._name = name
        self._take = clock
        self._order = order

    def flush(self) -> None:
        self._take(outlet.SLICE / 2)
        self._order.append(f"write {self._name}")


async def test_others_have_their_turn_between_two_slices() -> None:
    now = 0.0

    def take(seconds: float) -> None:
        nonlocal now
        now += seconds

    order: list[str] = []
    writing = Outlet(lambda: now)
    for name in range(6):
        writing.soon(Slow(name, take, order))
    while len([entry for entry in order if entry.startswith("write")]) < 6:
        await asyncio.sleep(0)
        order.append("others")
    written = " ".join(order)
    assert "write 0 write 1 others" in written
    assert "write 2 write 3 others" in written
    assert "write 4 write 5" in written


async def test_a_message_to_all_is_encoded_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [await room.join(f"client-{number}", user()) for number in range(8)]
    for client in clients:
        await client.barrier()
    made: list[str] = []

    def counted(event: str, payload: object) -> str:
        made.append(event)
        return encode(event, payload)

    monkeypatch.setattr(peer, "encode", counted)
    room.sessions.broadcast("send/broadcast", {"body": "to all"})
    for client in clients:
        assert (await client.receive())["payload"] == {"body": "to all"}
    assert made == ["send/broadcast"]
    # and a newcomer's list of sessions is not made of all of them again
    await room.join("one more", user())
    assert made.count("system/init") == 1


async def test_a_message_for_some_reaches_these(room: Room) -> None:
    ann, bob = await room.join("ann", user()), await room.join("bob", user())
    await ann.barrier()
    room.sessions.broadcast("send/broadcast", {}, to=lambda session: session.id == "bob")
    assert [message["event"] for message in await bob.barrier()] == ["send/broadcast"]
    assert await ann.barrier() == []


async def test_what_is_sent_while_one_waits_comes_in_order(room: Room) -> None:
    """More than the socket takes at once goes the long way, what comes after it must not overtake."""
    ann = await room.join("ann", user())
    await ann.barrier()
    session = room.session("ann")
    for number in range(300):
        session.send("send/unicast", {"number": number, "body": "x" * 10_000})
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    for number in range(300):
        assert (await ann.receive())["payload"]["number"] == number
    # and then it goes the short way again
    session.send("send/unicast", {"number": 300})
    assert (await ann.receive())["payload"]["number"] == 300


async def test_many_who_leave_at_once_are_gone(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    clients = [await room.join(f"client-{number}", user()) for number in range(30)]
    stays = await room.join("stays", user())
    for client in clients:
        client.connection.transport.abort()
    for number in range(20):
        room.sessions.broadcast("send/broadcast", {"number": number})
        await asyncio.sleep(0)
    await until(lambda: room.metric("catnap_websocket_connections") == 1, within=10, what="they are gone")
    await stays.barrier()
    assert "socket.send() raised" not in caplog.text


def test_version_2_changes_nothing_that_others_are_told_too() -> None:
    profile = {"name": "Ann", "is_admin": False, "plugins": None}
    wire = {"id": "ann", "profile": profile, "state": {"is_connected": True, "is_watching": False}}
    before = json.dumps(wire)
    translator = ToClient("bob", file_transfer=False)
    translator.translate("session/created", wire)
    translator.translate("session/state", {"id": "ann", "is_connected": False, "is_watching": False})
    translator.translate("session/profile", {"id": "ann", **profile, "name": "Other"})
    assert json.dumps(wire) == before
