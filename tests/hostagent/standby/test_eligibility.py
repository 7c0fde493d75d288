"""Who is put to sleep at all."""

import pytest

from hostagent.instances.model import AutoStandbyPolicy, Level, State
from hostagent.standby.decision import Reason, Status
from hostagent.standby.ports import IdleStamps
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import TIMEOUT, A, World, with_policy


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"policy": None}, Reason.POLICY_MISSING),
        ({"policy": AutoStandbyPolicy()}, Reason.POLICY_DISABLED),
        ({"state": State.STOPPED, "level": Level.STOPPED}, Reason.INSTANCE_NOT_RUNNING),
        ({"network": False}, Reason.NETWORK_DISABLED),
        ({"addresses": ()}, Reason.MISSING_IP),
        ({"has_vgpu": True}, Reason.HAS_VGPU),
        ({"levels": frozenset({Level.AWAKE})}, Reason.NO_SLEEP_LEVEL),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else "",
)
def test_an_instance_that_cannot_be_tracked_stays_as_it_is_and_its_stamps_go(
    world: World, fields: dict[str, object], reason: Reason
) -> None:
    stamp = world.clocks.now() - 100
    world.add(A, idle_since=stamp, last_inbound_activity_at=stamp, **fields)
    world.start()
    world.after(1000)
    assert not world.asleep()
    assert world.controller.status(A).reason is reason
    assert world.instances.writes == [{A: IdleStamps(None, None)}], "once"


def test_no_connection_table_means_unsupported() -> None:
    world = World(table=False)
    try:
        world.add()
        world.start()
        world.after(1000)
        assert not world.asleep()
        assert world.status() is Status.UNSUPPORTED
        assert world.controller.hold(A) is None
    finally:
        world.close()


def test_a_policy_takes_effect_at_once(world: World) -> None:
    world.add(policy=None)
    world.start()
    world.after(100)
    world.instances.change("update", A, policy=with_policy(idle_timeout=3.0))
    world.after(2.99)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_shorter_timeout_counts_from_when_it_was_idle(world: World) -> None:
    world.add()
    world.start()
    world.after(6)
    world.instances.change("update", A, policy=with_policy(idle_timeout=5.0))
    world.after(0.01)
    assert world.asleep()


def test_a_connection_that_a_new_policy_ignores_no_longer_holds(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    world.after(50)
    world.instances.change("update", A, policy=with_policy(ignore_destination_ports=(8080,)))
    world.after(TIMEOUT + 0.1)
    assert world.asleep()


def test_success_leaves_nothing_but_the_last_inbound_activity(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    world.end(tcp())
    world.after(TIMEOUT + 1)
    assert world.asleep()
    stamps = world.instances.writes[-1][A]
    assert stamps.idle_since is None
    assert stamps.last_inbound_activity_at == pytest.approx(world.clocks.now() - TIMEOUT - 1, abs=0.1)
    writes = len(world.instances.writes)
    world.after(2 * world.settings.sync_interval)
    assert len(world.instances.writes) == writes


def test_a_woken_instance_is_awake_for_the_idle_timeout(world: World) -> None:
    world.add()
    world.start()
    world.after(TIMEOUT + 1)
    world.wake()
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()
