"""Time that jumps, and timers that are late."""

import pytest

from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import TIMEOUT, A, World


@pytest.mark.parametrize("step", [-86_400.0, -3.0, 3.0, 86_400.0])
def test_a_step_of_the_wall_clock_moves_no_deadline(world: World, step: float) -> None:
    world.add()
    world.start()
    world.after(5)
    world.clocks.offset += step
    world.controller.tick()
    world.after(4.99)
    assert not world.asleep()
    assert world.controller.status(A).next_standby_at == pytest.approx(world.clocks.now() + 0.01)
    world.after(0.02)
    assert world.asleep()


def test_a_clock_set_back_before_a_restart_means_awake(world: World) -> None:
    world.add()
    world.start()
    world.after(9)
    world.clocks.offset -= 3600
    world.restart()
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()


def test_a_late_timer_looks_again(world: World) -> None:
    world.add()
    world.start()
    world.after(9)
    world.table.deaf = True
    world.open(tcp())
    world.loop.stall(500)
    assert not world.asleep()
