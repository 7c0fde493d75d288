"""Deadlines over a stop, with clocks the test moves: a frozen process's runs on, a paused machine's not."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.awake import OVERSLEPT, AwakeTimer, Deadline, awake_timeout


class World:
    """A loop with one timer and two clocks."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.wall = 1_700_000_000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.called = 0

    def call_later(self, delay: float, callback: Callable[[], None]) -> "World":
        self.timers = [(self.monotonic + delay, callback)]
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def pass_time(self, seconds: float) -> None:
        """Let the loop run."""
        end = self.monotonic + seconds
        while self.timers and self.timers[0][0] <= end:
            due, callback = self.timers.pop()
            late = max(0.0, self.monotonic - due)
            self.wall += due + late - self.monotonic
            self.monotonic = due + late
            callback()
        self.wall += end - self.monotonic
        self.monotonic = end

    def freeze_process(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def pause_machine(self, seconds: float) -> None:
        self.wall += seconds

    def timer(self, delay: float) -> AwakeTimer:
        def call() -> None:
            self.called += 1

        return AwakeTimer(
            delay,
            call,
            call_later=self.call_later,
            monotonic=lambda: self.monotonic,
            wall=lambda: self.wall,
        )


def test_without_a_stop_it_is_a_timer() -> None:
    world = World()
    world.timer(5)
    world.pass_time(4.9)
    assert world.called == 0
    world.pass_time(0.2)
    assert world.called == 1
    world.timer(5).cancel()
    world.pass_time(60)
    assert world.called == 1


@pytest.mark.parametrize("stop", [World.freeze_process, World.pause_machine])
@pytest.mark.parametrize("seconds", [7.0, 30.0, 86_400.0])
def test_after_a_stop_the_other_side_has_its_whole_time(
    stop: Callable[[World, float], None], seconds: float
) -> None:
    world = World()
    world.timer(5)
    world.pass_time(4)
    stop(world, seconds)
    world.pass_time(1)  # a machine's clock that stood still has one second left
    assert world.called == 0
    world.pass_time(4)
    assert world.called == 0 or stop is World.freeze_process
    world.pass_time(1.1)
    assert world.called == 1


def test_a_wall_clock_set_back_changes_nothing_and_one_set_forward_gives_more_time_once() -> None:
    world = World()
    world.timer(5)
    world.wall -= 3600
    world.pass_time(5.1)
    assert world.called == 1
    world.timer(5)
    world.wall += 3600
    world.pass_time(5.1)
    assert world.called == 1
    world.pass_time(5)
    assert world.called == 2


@given(st.floats(0.1, 60), st.lists(st.tuples(st.booleans(), st.floats(0, 1000)), max_size=5))
def test_it_always_comes_and_never_early(delay: float, stops: list[tuple[bool, float]]) -> None:
    world = World()
    world.timer(delay)
    awake = 0.0
    for frozen, seconds in stops:
        (World.freeze_process if frozen else World.pause_machine)(world, seconds)
        world.pass_time(delay / 10)
        awake += delay / 10
        assert world.called == 0 or awake + OVERSLEPT + sum(s for _, s in stops) >= delay
    world.pass_time(2 * delay + 0.01)
    assert world.called == 1


def test_a_little_late_is_not_slept_through() -> None:
    deadline = Deadline(10, 0, 1000)
    assert not deadline.overslept(10 + OVERSLEPT, 1010)
    assert deadline.overslept(10 + OVERSLEPT + 0.01, 1010)
    assert deadline.overslept(5, 1010 + OVERSLEPT + 0.01)


async def test_the_timeout_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        async with awake_timeout(0.02):
            await asyncio.Event().wait()
    async with awake_timeout(5):
        await asyncio.sleep(0)
