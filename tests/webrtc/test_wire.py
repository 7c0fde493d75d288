"""What a viewer sees of a network that changes, packet by packet in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.webrtc.wire import Network, Wire, step

PLENTY = 20e6
FULL, MEDIUM, LOW = range(3)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_down_costs_no_second_and_a_slow_link_is_left_alone(
    seed: int,
) -> None:
    run = Wire(Network(step(1.5e6, 5, 17)), seed=seed).run(28)
    assert run.longest(1, 28) < 0.8
    assert run.frozen(7, 17) < 0.5, "nobody tries what the link cannot take by sending it"
    assert FULL not in {rung for at, rung in run.rungs if 7 < at < 17}
    assert run.since(FULL, 17) <= 10
    assert run.rate(1, 5) > 2.2e6


@pytest.mark.parametrize("seed", range(2))
def test_a_slow_lossy_and_late_network_at_once(seed: int) -> None:
    hard = (5, 15)

    def then(value: float, otherwise: float) -> Callable[[float], float]:
        return lambda t: value if hard[0] <= t < hard[1] else otherwise

    network = Network(step(1.5e6, *hard), 0.2, then(0.05, 0.0), then(0.1, 0.02), then(0.03, 0.0))
    run = Wire(network, seed=seed).run(27)
    assert run.longest(1, 27) < 1.0
    assert run.since(FULL, 15) <= 10


def test_neither_random_loss_nor_jitter_costs_quality() -> None:
    lossy = Wire(Network(lambda _: PLENTY, loss=lambda t: 0.05 * (t > 3))).run(15)
    assert lossy.rungs == [(0.0, FULL)]
    assert lossy.longest(1, 15) < 0.4
    late = Wire(Network(lambda _: PLENTY, delay=lambda _: 0.1, jitter=lambda _: 0.03)).run(15)
    assert late.rungs == [(0.0, FULL)]
    assert late.longest(1, 15) < 0.3


def test_a_deep_queue_is_not_filled_by_trying() -> None:
    run = Wire(Network(step(1.5e6, 5, 20), queue=1.0)).run(28)
    assert run.frozen(9, 20) == 0
    assert run.queue(9, 20) < 0.6
    assert run.since(FULL, 20) <= 8
