"""Down the ladder with time; and an operator's own sleep."""

import errno

import pytest

from hostagent.instances.model import Level, State
from hostagent.standby.decision import Status
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import (
    LEVELS,
    TIMEOUT,
    A,
    B,
    C,
    FreezerError,
    World,
    with_policy,
)


def test_it_goes_down_the_ladder_with_time(world: World) -> None:
    world.add(policy=with_policy(reclaim_after=30.0, stop_after=100.0))
    world.start()
    world.after(TIMEOUT + 0.1)
    assert world.view().level is Level.FROZEN
    explanation = world.controller.explain(A)
    assert explanation.next_level is Level.RECLAIMED
    assert explanation.next_level_at == pytest.approx(world.clocks.now() + 29.9)
    world.after(29.8)
    assert world.view().level is Level.FROZEN
    world.after(0.2)
    assert world.view().level is Level.RECLAIMED
    world.after(69.8)
    assert world.view().level is Level.RECLAIMED
    world.after(0.2)
    assert world.view().level is Level.STOPPED
    assert [level for _, level in world.instances.calls] == [Level.FROZEN, Level.RECLAIMED, Level.STOPPED]
    world.after(10_000)
    assert len(world.instances.calls) == 3


def test_the_ladder_goes_on_after_a_restart(world: World) -> None:
    world.add(policy=with_policy(stop_after=100.0))
    world.start()
    world.after(TIMEOUT + 50)
    world.restart()
    world.after(49)
    assert world.view().level is Level.RECLAIMED
    world.after(2)
    assert world.view().level is Level.STOPPED


def test_one_that_nobody_saw_fall_asleep_counts_from_when_it_was_seen(world: World) -> None:
    world.add(policy=with_policy(stop_after=100.0), state=State.STANDBY, level=Level.RECLAIMED, generation=7)
    world.start()
    for _ in range(9):
        world.after(11)
        world.gates.write(A, 0)
        world.instances.tell("update", A)
    assert world.view().level is Level.RECLAIMED
    world.after(2)
    assert world.view().level is Level.STOPPED


def test_a_wake_in_between_begins_at_the_top(world: World) -> None:
    world.add(policy=with_policy(stop_after=100.0))
    world.start()
    world.after(TIMEOUT + 90)
    world.wake()
    world.after(TIMEOUT + 90)
    assert world.view().level is Level.RECLAIMED
    world.after(11)
    assert world.view().level is Level.STOPPED


def test_a_packet_while_it_goes_deeper_wakes_it(world: World) -> None:
    world.add(policy=with_policy(stop_after=100.0))
    world.instances.step_seconds = 0.5
    world.start()
    world.after(TIMEOUT + 102.7)
    assert world.instances.machines[A].going_down
    world.open(tcp())
    world.after(1)
    assert not world.asleep()
    assert world.status() is Status.ACTIVE


@pytest.mark.parametrize("claim", ["gate", "unknown gate"])
def test_a_claimed_sleeper_is_not_stopped(world: World, claim: str) -> None:
    world.add(policy=with_policy(stop_after=100.0))
    world.start()
    world.after(TIMEOUT + 1)
    if claim == "gate":
        world.gates.write(A, 1)
    else:
        world.gates.leave(True, [A])
    world.after(1000)
    assert world.view().level is Level.RECLAIMED
    world.gates.write(A, 0)
    world.gates.leave(False, [A])
    world.after(1)
    assert world.view().level is Level.STOPPED


def test_a_deeper_level_that_fails_is_left(world: World) -> None:
    world.add(policy=with_policy(reclaim_after=30.0))
    world.start()
    world.after(TIMEOUT + 1)
    world.instances.freeze_fails = FreezerError("no swap")
    world.after(10_000)
    assert world.view().level is Level.FROZEN
    assert len(world.instances.calls) == 2, "it is not tried again and again while it sleeps"


def test_a_wake_objective_chooses_the_level(world: World) -> None:
    world.add(
        policy=with_policy(wake_objective=0.3),
        wakes=((Level.RECLAIMED, 0.9), (Level.FROZEN, 0.01)),
    )
    world.start()
    world.after(TIMEOUT + 1)
    assert world.view().level is Level.FROZEN


def test_a_machine_without_swap_freezes(world: World) -> None:
    world.add(levels=LEVELS - {Level.RECLAIMED})
    world.start()
    world.after(TIMEOUT + 1)
    assert world.view().level is Level.FROZEN


def test_who_else_puts_it_to_sleep_may_ask_whether_somebody_is_there(world: World) -> None:
    world.add()
    world.add(B, policy=None)
    world.start()
    look = world.controller.still_idle
    assert look(A) is None
    assert look(B) is None
    world.open(tcp())
    world.open(tcp(destination=str(world.view(B).addresses[0])))
    for instance in (A, B):
        evidence = look(instance)
        assert evidence is not None
        assert (evidence.kind, "tcp 203.0.113.9" in evidence.detail) == ("flow", True)
    world.cut(tcp())
    world.gates.write(A, 2)
    gate = look(A)
    assert gate is not None
    assert gate.kind == "gate"
    world.table.broken = OSError(errno.EIO, "no table")
    unread = look(B)
    assert unread is not None
    assert unread.kind == "unreadable"
    gone = look(C)
    assert gone is not None
    assert gone.kind == "changed"
