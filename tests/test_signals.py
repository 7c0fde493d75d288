"""Signals: order, containment, deadlines."""

import asyncio

from streamserver.signals import AsyncSignal, Signal


def test_listeners_hear_in_order_until_they_unsubscribe() -> None:
    signal: Signal[[int]] = Signal("test")
    heard: list[tuple[str, int]] = []
    end_first = signal.subscribe(lambda value: heard.append(("first", value)))
    signal.subscribe(lambda value: heard.append(("second", value)))
    signal.emit(1)
    end_first()
    end_first()
    signal.emit(2)
    assert heard == [("first", 1), ("second", 1), ("second", 2)]


def test_the_same_function_twice_is_ended_one_by_one() -> None:
    signal: Signal[[]] = Signal("test")
    heard: list[None] = []
    ends = [signal.subscribe(lambda: heard.append(None)) for _ in range(2)]
    signal.emit()
    ends[0]()
    signal.emit()
    assert len(heard) == 3


def test_a_listener_that_subscribes_another_does_not_change_this_time() -> None:
    signal: Signal[[]] = Signal("test")
    heard: list[str] = []

    def first() -> None:
        heard.append("first")
        signal.subscribe(lambda: heard.append("late"))

    end = signal.subscribe(first)
    signal.emit()
    assert heard == ["first"]
    end()
    signal.emit()
    assert heard == ["first", "late"]


async def test_async_listeners_run_one_after_the_other() -> None:
    signal: AsyncSignal[[]] = AsyncSignal("test", deadline=5)
    heard: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.01)
        heard.append("slow")

    async def quick() -> None:
        heard.append("quick")

    async def broken() -> None:
        raise RuntimeError("broken")

    for listener in (slow, broken, quick):
        signal.subscribe(listener)
    await signal.emit()
    assert heard == ["slow", "quick"]


async def test_cancelling_the_emitter_cancels_the_listener() -> None:
    signal: AsyncSignal[[]] = AsyncSignal("test", deadline=5)
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def listener() -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    signal.subscribe(listener)
    emitting = asyncio.create_task(signal.emit())
    await started.wait()
    emitting.cancel()
    async with asyncio.timeout(5):
        await cancelled.wait()
    assert emitting.cancelled()
