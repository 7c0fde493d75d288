"""Clients that send junk harm nobody but themselves, and fill no log."""

import asyncio
import json
import os
import time

import pytest

from streamserver.config import Settings
from tests.sessions.doubles import user
from tests.waiting import until
from tests.websocket.room import Room, running_room

JUNK = [
    "",
    "{",
    "null",
    "[]",
    '"event"',
    "{}",
    '{"event":null}',
    '{"event":7}',
    '{"event":""}',
    json.dumps({"event": "x" * 10_000}),
    '{"event":"control/move","payload":NaN}',
    '{"event":"control/move","payload":{"x":1e999}}',
    '{"event":"control/move","payload":' + "1" * 5000 + "}",
    '{"event":"send/broadcast","payload":' + "[" * 100_000,
    '{"event":"send/broadcast","payload":{"body":' + "[" * 900 + "]" * 900 + "}}",
    '{"event":"send/broadcast","payload":"text"}',
    '{"event":"signal/request","payload":{"video":{"selector":{"type":"worst"}}}}',
    '{"event":"signal/answer","payload":{"sdp":5}}',
    '{"event":"system/logs","payload":{"level":"error"}}',
    '{"event":"system/logs","payload":[1,2]}',
]


@pytest.mark.parametrize("text", JUNK)
async def test_junk_is_ignored_and_the_connection_goes_on(
    room: Room, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ann, bob = await room.join("ann", user()), await room.join("bob", user())
    await ann.barrier()
    capsys.readouterr()
    for _ in range(5):
        await ann.connection.send(text)
    assert await ann.barrier() == []
    assert await bob.barrier() == []
    lines = [line for line in capsys.readouterr().out.splitlines() if "session=ann" in line]
    assert len(lines) == 1


async def test_a_binary_frame_is_ignored(room: Room) -> None:
    ann = await room.join("ann", user())
    await ann.connection.send(os.urandom(64))
    assert await ann.barrier() == []
    assert room.metric("catnap_websocket_bad_messages_total") == 1


async def test_a_frame_that_is_too_large_closes_its_sender_alone() -> None:
    settings = Settings.model_validate({"server": {"max_message_size": 4096}})
    async with running_room(settings) as room:
        ann, bob = await room.join("ann", user()), await room.join("bob", user())
        await ann.send("send/broadcast", {"subject": "big", "body": "x" * 5000})
        assert await ann.end() == (None, 1009)
        await bob.barrier()
        assert room.session("ann").is_connected, "it may come back"
        await until(lambda: room.session("ann").socket is None, within=5, what="the socket is gone")


async def test_a_flood_is_read_more_slowly_and_others_go_on() -> None:
    settings = Settings.model_validate({"session": {"message_rate": 100}})
    async with running_room(settings) as room:
        ann, bob = await room.join("ann", user()), await room.join("bob", user())

        async def flood() -> None:
            # more than all buffers between the two take
            for _ in range(3000):
                await ann.send("client/heartbeat", "x" * 10_000)
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        await until(lambda: room.metric("catnap_websocket_slowed_total") > 0, within=10, what="it is slowed")
        handled = room.metric("catnap_websocket_messages_total", direction="in", event="client/heartbeat")
        started = time.monotonic()
        for _ in range(20):
            await bob.barrier()
        took = time.monotonic() - started
        assert took < 2
        later = room.metric("catnap_websocket_messages_total", direction="in", event="client/heartbeat")
        assert later - handled <= 100 * took + 5
        assert not flooding.done(), "the flood waits in its sender"
        flooding.cancel()
        ann.connection.transport.abort()


async def test_a_handler_that_fails_is_one_log_line(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    ann = await room.join("ann", user())

    def broken(*_: object) -> object:
        raise RuntimeError("the display is gone")

    room.desktop.input.move = broken  # type: ignore[method-assign, assignment]
    for _ in range(5):
        await ann.send("control/move", {"x": 1, "y": 1})
    await ann.barrier()
    assert capsys.readouterr().out.count("message failed") == 1


async def test_clients_that_come_and_go_at_random_leave_nothing_behind(room: Room) -> None:
    async def come_and_go(name: str) -> None:
        for number in range(6):
            client = await room.join(name, user())
            await client.send("control/request")
            if number % 2:
                client.connection.transport.abort()
            else:
                await client.connection.close()

    await asyncio.gather(*(come_and_go(name) for name in ("ann", "bob", "cid", "dot")))
    await until(
        lambda: not any(session.is_connected for session in room.sessions.list()),
        within=10,
        what="everybody is gone",
    )
    await until(
        lambda: room.metric("catnap_websocket_connections") == 0, within=5, what="no connection is left"
    )
    assert room.sessions.controller is None
    own = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("read", "write"))]
    assert own == []
