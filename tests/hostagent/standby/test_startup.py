"""What the agent makes of what it finds when it starts."""

import errno

import pytest

from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import (
    ERRORS,
    TIMEOUT,
    A,
    FreezerError,
    World,
)


def test_a_start_with_a_live_connection_clears_the_countdown(world: World) -> None:
    world.add(idle_since=world.clocks.now() - 100)
    world.table.put(tcp())
    world.start()
    world.after(0.1)
    assert not world.asleep()
    assert world.view().idle_since is None
    assert world.view().last_inbound_activity_at is not None


def test_a_start_goes_on_with_an_earlier_countdown(world: World) -> None:
    world.add(idle_since=world.clocks.now() - 7)
    world.start()
    world.after(2.99)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_countdown_that_ended_while_the_agent_was_away_is_over_at_once(world: World) -> None:
    world.add(idle_since=world.clocks.now() - 1e6)
    world.start()
    world.after(0.0)
    assert world.asleep()


def test_a_stamp_of_the_future_means_awake(world: World) -> None:
    world.add(idle_since=world.clocks.now() + 1e6)
    world.start()
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_wake_after_the_stamp_begins_a_countdown_of_its_own(world: World) -> None:
    world.add(idle_since=world.clocks.now() - 1e6, since=world.clocks.now() - 4)
    world.start()
    world.after(5.99)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_restart_in_the_middle_changes_nothing(world: World) -> None:
    world.add()
    world.start()
    world.open(tcp())
    world.after(3)
    world.end(tcp())
    world.after(4)
    world.restart()
    inbound = world.controller.status(A).last_inbound_activity_at
    assert inbound == pytest.approx(world.clocks.now() - 4, abs=0.2)
    world.after(5.7)
    assert not world.asleep()
    world.after(0.4)
    assert world.asleep()


def test_it_runs_on_when_the_first_read_and_the_subscription_fail(world: World) -> None:
    world.add()
    world.table.broken = OSError(errno.EIO, "no table")
    world.instances.no_subscription = FreezerError("no events")
    world.start()
    assert world.sample(ERRORS, operation="startup_resync") == 1
    assert world.sample(ERRORS, operation="instance_event") == 1
    resyncs = "hypeman_auto_standby_startup_resync_duration_seconds_count"
    assert world.sample(resyncs, status="error") == 1
    world.after(60)
    assert not world.asleep(), "what was never read is not idle"
    world.table.broken = None
    world.after(TIMEOUT + 2.1)
    assert world.asleep()
    world.instances.no_subscription = None
    world.after(world.settings.sync_interval)
    world.wake()
    world.after(TIMEOUT + 0.1)
    assert world.asleep(), "the periodic sync subscribed"
