"""How deep, and when deeper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.instances.model import AutoStandbyPolicy, Level
from hostagent.standby.ladder import Step, ladder, next_step, percentile_95

FROZEN, RECLAIMED, STANDBY, STOPPED = (level for level in Level if level is not Level.AWAKE)
PROCESS = frozenset({Level.AWAKE, FROZEN, RECLAIMED, STOPPED})
VM = frozenset({Level.AWAKE, FROZEN, STANDBY, STOPPED})
NO_SWAP = frozenset({Level.AWAKE, FROZEN, STOPPED})
NO_FREEZER = frozenset({Level.AWAKE, STOPPED})


def policy(
    level: Level | None = None,
    reclaim_after: float | None = None,
    stop_after: float | None = None,
    wake_objective: float | None = None,
) -> AutoStandbyPolicy:
    return AutoStandbyPolicy(
        enabled=True,
        idle_timeout=60,
        level=level,
        reclaim_after=reclaim_after,
        stop_after=stop_after,
        wake_objective=wake_objective,
    )


@pytest.mark.parametrize(
    ("wanted", "supported", "steps"),
    [
        (policy(), PROCESS, [(RECLAIMED, 0)]),
        (policy(), VM, [(STANDBY, 0)]),
        (policy(), NO_SWAP, [(FROZEN, 0)]),
        (policy(), NO_FREEZER, []),
        (policy(FROZEN), PROCESS, [(FROZEN, 0)]),
        (policy(FROZEN), NO_FREEZER, []),
        (policy(STANDBY), PROCESS, [(RECLAIMED, 0)]),
        (policy(STOPPED), PROCESS, [(STOPPED, 0)]),
        (policy(STOPPED), NO_FREEZER, [(STOPPED, 0)]),
        (policy(reclaim_after=10), PROCESS, [(FROZEN, 0), (RECLAIMED, 10)]),
        (policy(reclaim_after=10), NO_SWAP, [(FROZEN, 0)]),
        (policy(reclaim_after=10), VM, [(FROZEN, 0), (STANDBY, 10)]),
        (policy(stop_after=99), PROCESS, [(RECLAIMED, 0), (STOPPED, 99)]),
        (policy(FROZEN, stop_after=99), PROCESS, [(FROZEN, 0), (STOPPED, 99)]),
        (policy(stop_after=99), NO_FREEZER, []),
        (policy(None, 10, 99), PROCESS, [(FROZEN, 0), (RECLAIMED, 10), (STOPPED, 99)]),
        (policy(STOPPED, 10, 99), PROCESS, [(FROZEN, 0), (RECLAIMED, 10), (STOPPED, 99)]),
        (policy(STOPPED, 10), PROCESS, [(FROZEN, 0), (STOPPED, 10)]),
        (policy(STOPPED, None, 99), PROCESS, [(RECLAIMED, 0), (STOPPED, 99)]),
        (policy(), frozenset({Level.AWAKE}), []),
    ],
)
def test_the_policy_and_the_machine_make_the_steps(
    wanted: AutoStandbyPolicy, supported: frozenset[Level], steps: list[tuple[Level, float]]
) -> None:
    assert ladder(wanted, supported) == tuple(Step(level, after) for level, after in steps)


def test_a_wake_objective_takes_the_deepest_level_that_meets_it() -> None:
    wanted = policy(wake_objective=0.3)
    slow = [(RECLAIMED, 0.4), (FROZEN, 0.004)]
    fast = [(RECLAIMED, 0.03), (FROZEN, 0.004)]
    assert ladder(wanted, PROCESS, slow) == (Step(FROZEN, 0),)
    assert ladder(wanted, PROCESS, fast) == (Step(RECLAIMED, 0),)
    assert ladder(wanted, PROCESS, []) == (Step(RECLAIMED, 0),), "a level never woken from is tried"


def test_a_wake_objective_nobody_meets_leaves_the_shallowest_level() -> None:
    assert ladder(policy(wake_objective=0.001), PROCESS, [(FROZEN, 0.004), (RECLAIMED, 1)]) == (
        Step(FROZEN, 0),
    )


def test_a_stop_that_wakes_too_slowly_is_left_out() -> None:
    wanted = policy(stop_after=99, wake_objective=0.3)
    assert ladder(wanted, PROCESS, [(STOPPED, 4.0)]) == (Step(RECLAIMED, 0),)


def test_a_level_that_failed_lately_is_passed_over_while_there_is_another() -> None:
    assert ladder(policy(), PROCESS, barred={RECLAIMED}) == (Step(FROZEN, 0),)
    assert ladder(policy(), PROCESS, barred={FROZEN, RECLAIMED}) == (Step(FROZEN, 0),)
    assert ladder(policy(stop_after=99), PROCESS, barred={STOPPED}) == (Step(RECLAIMED, 0),)


def test_the_next_step_is_deeper() -> None:
    steps = ladder(policy(None, 10, 99), PROCESS)
    assert next_step(steps, Level.AWAKE) == Step(FROZEN, 0)
    assert next_step(steps, FROZEN) == Step(RECLAIMED, 10)
    assert next_step(steps, RECLAIMED) == Step(STOPPED, 99)
    assert next_step(steps, STOPPED) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([], None), ([3.0], 3.0), ([1.0] * 19 + [9.0], 1.0), ([1.0] * 18 + [9.0, 9.0], 9.0)],
)
def test_the_percentile_is_the_nearest_rank(seconds: list[float], expected: float | None) -> None:
    assert percentile_95(FROZEN, [(FROZEN, one) for one in seconds] + [(STOPPED, 100.0)]) == expected


levels = st.sampled_from([FROZEN, RECLAIMED, STANDBY, STOPPED])


@given(
    level=st.none() | levels,
    reclaim_after=st.none() | st.floats(1, 50),
    stop_after=st.none() | st.floats(51, 100),
    objective=st.none() | st.floats(0.01, 10),
    supported=st.frozensets(levels),
    wakes=st.lists(st.tuples(levels, st.floats(0.001, 20)), max_size=30),
    barred=st.frozensets(levels),
)
def test_whatever_is_asked_for(
    level: Level | None,
    reclaim_after: float | None,
    stop_after: float | None,
    objective: float | None,
    supported: frozenset[Level],
    wakes: list[tuple[Level, float]],
    barred: frozenset[Level],
) -> None:
    wanted = policy(level, reclaim_after, stop_after, objective)
    steps = ladder(wanted, supported, wakes, barred)
    depths = [step.level.depth for step in steps]
    assert all(step.level in supported for step in steps)
    assert depths == sorted(set(depths)), "each step is deeper"
    assert [step.after for step in steps] == sorted(step.after for step in steps)
    if steps:
        assert steps[0].after == 0.0
    if STOPPED in [step.level for step in steps]:
        assert level is STOPPED or stop_after is not None, "memory is lost only when the policy says so"
    assert bool(steps) == bool(ladder(wanted, supported)), (
        "failures and slow wakes never keep it awake for ever"
    )
    for step in steps[1:]:
        measured = percentile_95(step.level, wakes)
        assert objective is None or measured is None or measured <= objective
