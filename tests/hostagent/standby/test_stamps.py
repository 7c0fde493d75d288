"""What is written down, also when the agent stops."""

import errno

import pytest

from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import (
    ERRORS,
    TIMEOUT,
    A,
    B,
    World,
)


def test_a_disk_that_is_full_stops_nothing_and_is_tried_again(world: World) -> None:
    world.add()
    world.instances.disk_full = OSError(errno.ENOSPC, "no space left")
    world.start()
    world.after(5)
    assert world.sample(ERRORS, operation="persist_runtime") >= 2
    world.instances.disk_full = None
    world.after(2.1)
    assert world.view().idle_since == pytest.approx(world.clocks.now() - 7.1, abs=0.1)
    world.instances.disk_full = OSError(errno.ENOSPC, "no space left")
    world.after(TIMEOUT)
    assert world.asleep()


def test_stamps_are_written_in_order_and_the_newest_wins(world: World) -> None:
    world.add()
    world.instances.write_seconds = 1.0
    world.start()
    world.loop.settle()
    for _ in range(20):
        world.open(tcp())
        world.cut(tcp())
    world.after(0.5)
    assert world.instances.writes == [], "nobody waited for the disk"
    world.after(5)
    assert len(world.instances.writes) == 2, "the first, and the newest"
    assert world.view().idle_since == pytest.approx(world.clocks.now() - 5.5, abs=0.1)


def test_use_that_goes_on_is_not_written(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp(1))
    world.after(1)
    writes = len(world.instances.writes)
    for port in range(2, 200):
        world.open(tcp(port))
        world.after(1)
    assert len(world.instances.writes) == writes


def test_a_stop_gives_up_the_queue_waits_for_those_under_way_and_keeps_stamps() -> None:
    world = World(max_concurrent=1)
    try:
        world.add(A)
        world.add(B)
        world.instances.step_seconds = 1.0
        world.start()
        world.after(TIMEOUT + 1)
        world.stop()
        assert world.asleep(A)
        assert not world.asleep(B)
        assert world.view(B).idle_since is not None
        world.after(1000)
        world.open(tcp(destination=str(world.view(B).addresses[0])))
        world.gates.write(B, 0)
        world.instances.tell("update", B)
        assert [instance for instance, _ in world.instances.calls] == [A]
    finally:
        world.loop.close()
