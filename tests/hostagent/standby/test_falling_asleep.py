"""From the end of the countdown to sleep, and everything that comes between."""

import errno
from dataclasses import replace

import pytest

from hostagent.errors import NotFoundError
from hostagent.instances.model import AutoStandbyPolicy, Level, State
from hostagent.standby.decision import Reason, Status
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import (
    ATTEMPTS,
    ERRORS,
    TIMEOUT,
    A,
    B,
    C,
    D,
    FreezerError,
    World,
)


def test_a_failed_last_look_is_use(world: World) -> None:
    world.add()
    world.start()
    world.after(9)
    world.table.broken = OSError(errno.EIO, "no table")
    world.after(2)
    assert not world.asleep()
    assert world.sample(ERRORS, operation="standby_confirm") == 1
    world.table.broken = None
    world.after(TIMEOUT - 1.1)
    assert not world.asleep(), "the whole timeout begins anew"
    world.after(0.2)
    assert world.asleep()


@pytest.mark.parametrize("step", ["locked", "trapped", "checked", "frozen", "rechecked"])
@pytest.mark.parametrize("told", [True, False], ids=["event told", "event missed"])
def test_somebody_who_comes_on_the_way_down_aborts(world: World, step: str, told: bool) -> None:
    world.add()
    world.start()
    world.table.deaf = not told
    world.instances.step_seconds = 0.01
    world.instances.steps[step] = lambda _instance: world.open(tcp(), settle=False)
    world.after(TIMEOUT + 1)
    assert not world.asleep()
    assert world.sample(ATTEMPTS, status="aborted") == 1
    assert world.status() is Status.ACTIVE


@pytest.mark.parametrize("step", ["locked", "trapped", "checked", "frozen"])
def test_somebody_who_came_and_went_on_the_way_down_aborts(world: World, step: str) -> None:
    def came_and_went(_instance: object) -> None:
        world.table.put(tcp())
        world.table.put(tcp(state=8))
        world.table.remove(tcp())

    world.add()
    world.start()
    world.instances.step_seconds = 0.01
    world.instances.steps[step] = came_and_went
    world.after(TIMEOUT + 1)
    assert not world.asleep()
    del world.instances.steps[step]
    world.after(TIMEOUT)
    assert world.asleep()


@pytest.mark.parametrize("step", ["locked", "trapped", "checked", "frozen"])
def test_a_gate_that_rises_on_the_way_down_aborts(world: World, step: str) -> None:
    world.add()
    world.start()
    world.instances.step_seconds = 0.01
    world.instances.steps[step] = lambda instance: world.gates.write(instance, 1)
    world.after(TIMEOUT + 1)
    assert not world.asleep()
    assert world.status() is Status.GATE_HELD


@pytest.mark.parametrize("step", ["locked", "trapped", "checked", "frozen"])
def test_a_gate_that_nobody_told_of_is_read_on_the_way_down(world: World, step: str) -> None:
    world.add()
    world.start()
    world.instances.step_seconds = 0.01
    world.instances.steps[step] = lambda instance: world.gates.counts.update({instance: 1})
    world.after(TIMEOUT + 1)
    assert not world.asleep()


def test_an_abort_shows_until_it_is_over(world: World) -> None:
    seen = []
    world.add()
    world.start()
    world.instances.step_seconds = 0.5
    world.instances.steps["checked"] = lambda _instance: world.table.put(tcp())
    world.instances.steps["frozen"] = lambda _instance: seen.append(world.status())
    world.after(TIMEOUT + 2.5)
    assert seen == [Status.ABORTED]
    past = [(past.status, past.reason) for past in world.controller.explain(A).history]
    assert (Status.ABORTED, Reason.ACTIVITY_DURING_STANDBY) in past
    assert past[-1] == (Status.ACTIVE, Reason.ACTIVE_INBOUND_CONNECTIONS)


def test_a_policy_that_changes_on_the_way_down_aborts(world: World) -> None:
    world.add()
    world.start()
    world.instances.step_seconds = 0.01
    world.instances.steps["checked"] = lambda instance: world.instances.change(
        "update", instance, policy=AutoStandbyPolicy()
    )
    world.after(TIMEOUT + 1)
    assert not world.asleep()
    assert world.status() is Status.DISABLED


def test_a_failed_sleep_is_tried_again_after_the_whole_timeout_less_deep(world: World) -> None:
    world.add()
    world.start()
    world.instances.freeze_fails = FreezerError("cannot freeze")
    world.after(TIMEOUT + 0.1)
    assert world.sample(ERRORS, operation="standby") == 1
    assert world.sample(ATTEMPTS, status="error") == 1
    assert world.status() is Status.IDLE_COUNTDOWN
    world.instances.freeze_fails = None
    world.after(TIMEOUT - 0.2)
    assert not world.asleep()
    world.after(0.2)
    assert world.view().level is Level.FROZEN


def test_any_failure_leaves_it_awake(world: World) -> None:
    world.add()
    world.start()
    world.instances.freeze_fails = TypeError("a mistake of ours")
    world.after(TIMEOUT * 10 - 1)
    assert world.sample(ERRORS, operation="standby") == 9
    assert world.status() is Status.IDLE_COUNTDOWN


def test_a_failure_while_somebody_came_is_left_to_the_next_look(world: World) -> None:
    world.add()
    world.start()
    world.instances.freeze_fails = FreezerError("cannot freeze")
    world.instances.step_seconds = 0.1
    world.instances.steps["checked"] = lambda _instance: world.table.put(tcp())
    world.after(TIMEOUT + 1)
    assert world.status() is Status.ACTIVE
    world.instances.freeze_fails = None
    world.after(100)
    assert len(world.instances.calls) == 1


def test_so_many_at_a_time() -> None:
    world = World(max_concurrent=2)
    try:
        for instance in (A, B, C, D):
            world.add(instance)
        world.instances.step_seconds = 1.0
        world.start()
        world.after(TIMEOUT + 1)
        assert world.instances.at_once == 2
        assert world.sample("hypeman_auto_standby_standby_in_flight") == 2
        assert world.status(C) is Status.STANDBY_REQUESTED
        world.after(5)
        assert (world.asleep(A), world.asleep(C)) == (True, False)
        world.after(5)
        assert all(world.asleep(instance) for instance in (A, B, C, D))
        assert world.instances.most_at_once == 2
    finally:
        world.close()


def come(world: World, how: str) -> None:
    """Have somebody need B, or B go."""
    match how:
        case "connection":
            world.open(tcp(destination=str(world.view(B).addresses[0])))
        case "gate":
            world.gates.write(B, 1)
        case "hold":
            world.controller.hold(B)
        case "ping":
            world.ping(60, B)
        case "policy":
            world.instances.change("update", B, policy=None)
        case "stop":
            world.instances.change("stop", B, state=State.STOPPED)


@pytest.mark.parametrize("by", ["connection", "gate", "hold", "ping", "policy", "stop"])
def test_a_queued_sleep_is_given_up(by: str) -> None:
    world = World(max_concurrent=1)
    try:
        world.add(A)
        world.add(B)
        world.instances.step_seconds = 1.0
        world.start()
        world.after(TIMEOUT + 1)
        assert world.status(B) is Status.STANDBY_REQUESTED
        come(world, by)
        world.after(9)
        assert world.asleep(A)
        assert not world.asleep(B)
        assert [instance for instance, _ in world.instances.calls] == [A]
    finally:
        world.close()


def test_the_same_timer_twice_is_one_sleep(world: World) -> None:
    world.add()
    world.instances.step_seconds = 0.1
    world.start()
    world.loop.stall(TIMEOUT)
    for _ in range(5):
        world.controller.tick()
    world.after(1)
    assert world.asleep()
    assert len(world.instances.calls) == 1


def test_a_resync_while_it_goes_down_is_no_second_sleep(world: World) -> None:
    world.add()
    world.instances.step_seconds = 1.0
    world.start()
    world.after(TIMEOUT + 1)
    world.instances.tell("update", A)
    world.table.lose(None)
    world.after(1)
    world.controller.tick()
    world.after(10)
    assert world.asleep()
    assert len(world.instances.calls) == 1


def test_an_instance_that_is_gone_is_forgotten(world: World) -> None:
    world.add()
    world.start()
    world.after(9)
    del world.instances.machines[A]
    world.after(100)
    assert world.instances.calls == []
    with pytest.raises(NotFoundError):
        world.controller.status(A)


def test_an_instance_deleted_on_the_way_down_is_forgotten(world: World) -> None:
    def delete(instance: object) -> None:
        world.instances.machines.pop(A, None)
        world.instances.tell("delete", A)

    world.add()
    world.start()
    world.instances.steps["checked"] = delete
    world.after(TIMEOUT * 3)
    assert len(world.instances.calls) == 1
    assert world.sample(ATTEMPTS, status="gone") == 1


def test_a_stale_generation_is_no_failure(world: World) -> None:
    world.add()
    world.start()
    world.instances.step_seconds = 0.1
    world.after(TIMEOUT - 0.01)
    machine = world.instances.machines[A]
    world.instances.steps["locked"] = lambda _instance: None
    generation = machine.view.generation
    world.after(0.005)
    machine.view = replace(machine.view, generation=generation + 3)
    world.after(5)
    assert world.asleep(), "the view is taken anew before deciding"
