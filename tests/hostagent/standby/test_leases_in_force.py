"""Holds and leases keep their promises."""

import pytest

from hostagent.errors import InstanceInStandbyError, InvalidStateError, NotFoundError
from hostagent.instances.model import AutoStandbyPolicy, Level, State
from hostagent.standby.decision import Status
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import TIMEOUT, A, FreezerError, World, with_policy


def test_a_hold_lasts_one_idle_timeout(world: World) -> None:
    world.add()
    world.start()
    world.after(6)
    until = world.controller.hold(A)
    assert until == pytest.approx(world.clocks.now() + TIMEOUT)
    status = world.controller.status(A)
    assert (status.status, status.hold_until) == (Status.IDLE_COUNTDOWN, until)
    assert status.next_standby_at == until
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    assert world.controller.status(A).status is Status.IDLE_COUNTDOWN
    world.after(0.02)
    assert world.asleep()
    assert world.controller.status(A).hold_until is None


def test_the_newest_hold_counts(world: World) -> None:
    world.add(policy=with_policy(idle_timeout=100.0))
    world.start()
    first = world.controller.hold(A)
    world.instances.change("update", A, policy=with_policy(idle_timeout=5.0))
    second = world.controller.hold(A)
    assert first is not None
    assert second is not None
    assert second < first
    world.after(5.01)
    assert world.asleep()


def test_a_hold_after_the_point_of_no_return_is_refused(world: World) -> None:
    refused = []

    def hold(instance: object) -> None:
        with pytest.raises(InstanceInStandbyError):
            world.controller.hold(A)
        refused.append(instance)

    world.add()
    world.start()
    world.instances.steps["checked"] = hold
    world.after(TIMEOUT + 1)
    assert refused == [A]
    assert world.asleep()
    with pytest.raises(InstanceInStandbyError):
        world.controller.hold(A)


@pytest.mark.parametrize("policy", [None, AutoStandbyPolicy()], ids=["none", "disabled"])
def test_a_hold_without_a_policy_is_fine_and_nothing(world: World, policy: AutoStandbyPolicy | None) -> None:
    world.add(policy=policy)
    world.start()
    assert world.controller.hold(A) is None


def test_a_hold_of_nobody_is_refused(world: World) -> None:
    world.start()
    with pytest.raises(NotFoundError):
        world.controller.hold(A)


def test_a_hold_before_anything_was_read_works(world: World) -> None:
    world.instances.no_subscription = FreezerError("no events")
    world.start()
    world.add(idle_since=world.clocks.now() - 100)
    assert world.controller.hold(A) is not None
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_hold_under_churn_is_kept(world: World) -> None:
    world.add()
    world.start()
    world.controller.hold(A)
    for _ in range(50):
        world.open(tcp())
        world.cut(tcp())
        world.instances.tell("update", A)
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()


def test_a_ping_is_a_promise(world: World) -> None:
    world.add()
    world.start()
    until = world.ping(50)
    assert until == world.loop.time() + 50
    world.after(TIMEOUT + 1)
    assert world.status() is Status.LEASE_HELD
    explanation = world.controller.explain(A)
    assert [(lease.owner, lease.reason) for lease in explanation.leases] == [("ping", "test")]
    world.after(50 - TIMEOUT - 1.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_lease_that_is_released_was_use_until_then(world: World) -> None:
    world.add()
    world.start()
    world.ping(3000, owner="command")
    world.after(100)
    assert world.controller.release(A, "command")
    assert not world.controller.release(A, "command")
    world.promises.clear()
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_ping_of_who_does_not_run_is_refused(world: World) -> None:
    world.add(state=State.STOPPED, level=Level.STOPPED)
    world.start()
    with pytest.raises(InvalidStateError, match="start it first"):
        world.ping(10)
