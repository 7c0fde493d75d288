"""Events, dumps, and what happens when they fail."""

import errno

from hostagent.standby.decision import Reason, Status
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import (
    ERRORS,
    TIMEOUT,
    A,
    B,
    World,
    with_policy,
)


def test_a_missed_end_is_found_by_looking(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    world.table.deaf = True
    world.after(20)
    world.cut(tcp())
    world.after(TIMEOUT + 2.01)
    assert world.asleep()


def test_a_missed_begin_is_found_before_sleeping(world: World) -> None:
    world.add()
    world.start()
    world.table.deaf = True
    world.after(5)
    world.open(tcp())
    world.after(TIMEOUT)
    assert not world.asleep()
    assert world.status() is Status.ACTIVE
    assert world.instances.calls == [], "not even a try"


def test_the_periodic_sync_repairs_what_was_missed(world: World) -> None:
    world.add(policy=with_policy(idle_timeout=1000.0))
    world.start()
    world.table.deaf = True
    world.after(1)
    world.open(tcp())
    world.after(world.settings.sync_interval)
    assert world.status() is Status.ACTIVE


def test_lost_events_mean_reading_again_but_not_in_a_flood(world: World) -> None:
    world.add(policy=with_policy(idle_timeout=1000.0))
    world.start()
    world.after(5)
    world.table.deaf = True
    world.open(tcp())
    before = world.table.dumps
    for _ in range(100):
        world.table.lose(None)
    world.loop.settle()
    assert world.status() is Status.ACTIVE
    assert world.table.dumps == before + 1


def test_doubled_ends_are_harmless(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    world.cut(tcp())
    world.after(5)
    world.table.tell("destroy", tcp())
    world.table.tell("destroy", tcp())
    world.after(5.01)
    assert world.asleep()


def test_an_observer_that_is_down_shows_and_comes_back_with_everything_read(world: World) -> None:
    world.add(policy=with_policy(idle_timeout=100.0))
    world.start()
    world.table.unreachable = OSError(errno.EPERM, "not now")
    world.table.lose(OSError(errno.EIO, "stream broke"))
    assert world.status() is Status.ERROR
    assert world.sample(ERRORS, operation="stream") == 1
    world.open(tcp())
    world.after(4.5)
    assert world.sample(ERRORS, operation="reconnect") == 2
    assert world.status() is Status.ERROR
    world.table.unreachable = None
    world.after(2)
    assert world.status() is Status.ACTIVE
    world.end(tcp())
    assert world.status() is Status.IDLE_COUNTDOWN, "events are told again"


def test_an_observer_counts_as_up_only_when_everything_was_read(world: World) -> None:
    world.add()
    world.start()
    world.table.broken = OSError(errno.EIO, "no table")
    world.table.lose(OSError(errno.EIO, "stream broke"))
    world.after(5)
    assert world.controller.status(A).reason is Reason.OBSERVER_ERROR
    world.table.broken = None
    world.after(2)
    assert world.controller.status(A).reason is Reason.IDLE_TIMEOUT_NOT_ELAPSED


def test_a_stream_that_cannot_be_opened_at_the_start_is_opened_later(world: World) -> None:
    world.add()
    world.table.unreachable = OSError(errno.EPERM, "not now")
    world.start()
    assert world.sample(ERRORS, operation="connect") == 1
    assert world.status() is Status.ERROR
    world.table.unreachable = None
    world.after(2.1)
    assert world.status() is Status.IDLE_COUNTDOWN


def test_while_the_stream_is_down_the_last_look_is_the_guard(world: World) -> None:
    world.add()
    world.add(B)
    world.start()
    world.table.unreachable = OSError(errno.EPERM, "not now")
    world.table.lose(OSError(errno.EIO, "stream broke"))
    world.open(tcp())
    world.after(TIMEOUT + 3)
    assert not world.asleep(A)
    assert world.asleep(B)


def test_many_instances_share_one_read(world: World) -> None:
    for number in range(50):
        world.add(type(A)(f"i{number:023}"))
    world.start()
    for machine in tuple(world.instances.machines.values()):
        world.open(tcp(instance=str(machine.view.addresses[0]), destination=str(machine.view.addresses[0])))
    world.after(5)
    before = world.table.dumps
    world.after(100)
    assert world.table.dumps - before <= 101


def test_sleeping_and_idle_instances_cost_nothing(world: World) -> None:
    for number in range(100):
        world.add(type(A)(f"i{number:023}"), policy=with_policy(idle_timeout=1000.0))
    world.add(A)
    world.start()
    world.after(20)
    assert world.asleep(A)
    before = world.table.dumps
    world.after(200)
    assert world.table.dumps == before
