"""Events: numbered, bounded, replayed; nobody has to wait for who does not read."""

import asyncio

import pytest

from hostagent.instances.events import Event, EventLog, EventType, SlowSubscriberError
from tests.hostagent.records import identity


def _log(kept: int = 10, queue: int = 4, first: int = 1) -> EventLog:
    return EventLog(kept, queue, first)


def _publish(log: EventLog, count: int, name: str = "one") -> list[Event]:
    return [
        log.publish(0.0, EventType.STANDBY, instance=identity(name), name=name, number=n)
        for n in range(count)
    ]


async def _take(log: EventLog, count: int, after: int | None, name: str | None = None) -> list[Event]:
    found: list[Event] = []
    stream = log.stream(after, None if name is None else identity(name))
    async with asyncio.timeout(2):
        async for event in stream:
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_what_was_is_replayed_and_what_comes_follows() -> None:
    log = _log(first=100)
    before = _publish(log, 3)
    reading = asyncio.ensure_future(_take(log, 4, after=100))
    await asyncio.sleep(0)
    after = _publish(log, 2)
    assert await reading == [*before[1:], *after]
    assert [event.sequence for event in [*before, *after]] == [100, 101, 102, 103, 104]
    assert log.last == 104


async def test_only_new_ones_without_a_number_and_all_from_zero() -> None:
    log = _log(first=100)
    before = _publish(log, 2)
    assert await _take(log, 2, after=0) == before
    reading = asyncio.ensure_future(_take(log, 1, after=None))
    await asyncio.sleep(0)
    new = _publish(log, 1)
    assert await reading == new


async def test_forgotten_ones_are_said() -> None:
    log = _log(kept=3)
    _publish(log, 10)
    found = await _take(log, 4, after=2)
    assert [event.type for event in found] == [EventType.MISSED, *[EventType.STANDBY] * 3]
    assert [event.sequence for event in found] == [7, 8, 9, 10]
    assert "after event 2 and before 8" in found[0].reason
    assert [event.type for event in await _take(log, 3, after=7)] == [EventType.STANDBY] * 3


async def test_one_instance() -> None:
    log = _log()
    mine = _publish(log, 2, "mine")
    _publish(log, 3, "other")
    assert await _take(log, 2, after=0, name="mine") == mine
    assert log.history(identity("mine")) == mine
    assert log.history(identity("other"), 1)[0].sequence == 5
    assert log.history(identity("nobody")) == []


async def test_who_does_not_read_is_cut_off_and_others_are_not() -> None:
    log = _log(queue=4)
    slow, quick = log.stream(None), log.stream(None)
    first_slow, first_quick = asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))
    await asyncio.sleep(0)
    (event,) = _publish(log, 1)
    assert (await first_slow, await first_quick) == (event, event)
    for _ in range(6):
        (event,) = _publish(log, 1)
        assert await anext(quick) == event
    for _ in range(4):
        await anext(slow)
    with pytest.raises(SlowSubscriberError):
        await anext(slow)
