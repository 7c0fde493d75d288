"""Deadlines and clocks."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.timers import SLACK, Alarm, TimerHeap
from tests.waiting import until


def test_due_in_order_and_once() -> None:
    heap: TimerHeap[str] = TimerHeap()
    heap.set("late", 9)
    heap.set("early", 3)
    heap.set("moved", 1)
    heap.set("moved", 5)
    heap.set("gone", 2)
    heap.cancel("gone")
    heap.cancel("gone")
    assert (heap.next(), len(heap)) == (3, 3)
    assert heap.due(2.9) == []
    assert heap.due(6) == ["early", "moved"]
    assert heap.due(6) == []
    assert (heap.next(), heap.when("late"), heap.when("early")) == (9, 9, None)


def test_moving_a_deadline_for_ever_takes_no_memory() -> None:
    heap: TimerHeap[str] = TimerHeap()
    for moment in range(100_000):
        heap.set("one", 1e9 + moment)
    assert len(heap._heap) <= 2 + SLACK
    assert heap.due(2e9) == ["one"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "cancel", "due"]), st.integers(0, 5), st.floats(0, 100)),
        max_size=60,
    )
)
def test_like_a_dictionary(steps: list[tuple[str, int, float]]) -> None:
    heap: TimerHeap[int] = TimerHeap()
    expected: dict[int, float] = {}
    for step, key, when in steps:
        if step == "set":
            heap.set(key, when)
            expected[key] = when
        elif step == "cancel":
            heap.cancel(key)
            expected.pop(key, None)
        else:
            due = heap.due(when)
            assert sorted(due) == sorted(key for key, moment in expected.items() if moment <= when)
            assert [expected[key] for key in due] == sorted(expected[key] for key in due)
            for one in due:
                del expected[one]
        assert heap.next() == min(expected.values(), default=None)
        assert len(heap) == len(expected)


async def test_the_alarm_rings_once_at_the_newest_moment() -> None:
    rung: list[float] = []
    loop = asyncio.get_running_loop()
    alarm = Alarm(lambda: rung.append(loop.time()))
    began = loop.time()
    alarm.set(began + 30, began)
    alarm.set(began + 0.02, began)
    await until(lambda: rung, within=5, what="it rings")
    assert rung[0] >= began + 0.01
    alarm.set(began + 0.03, began + 0.02)
    alarm.set(None, began)
    alarm.cancel()
    await asyncio.sleep(0.03)
    assert len(rung) == 1


class Clocks:
    def __init__(self) -> None:
        self.wall, self.mono = 1_000_000.0, 50.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


def test_the_steady_clock_is_moved_by_nothing_but_time() -> None:
    clocks = Clocks()
    steady = SteadyClock(clocks)
    assert steady.now() == 1_000_000
    clocks.mono += 5
    clocks.wall -= 3_600
    assert steady.now() == 1_000_005
    assert steady.to_wall(1_000_005) == clocks.wall
    assert steady.to_wall(1_000_065) == clocks.wall + 60
    assert steady.from_wall(clocks.wall - 7) == 1_000_005 - 7


def test_a_stamp_of_the_future_is_now() -> None:
    clocks = Clocks()
    steady = SteadyClock(clocks)
    assert steady.from_wall(clocks.wall + 10_000) == steady.now()
