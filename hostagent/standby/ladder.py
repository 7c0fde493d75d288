"""How deep an instance sleeps, and when it goes deeper. Pure.

An instance goes down with time and comes up in one step. `stopped` loses memory, so it is on the ladder
only when the policy says so, by `level: stopped` or `stop_after`.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import ceil

from hostagent.instances.model import AutoStandbyPolicy, Level


@dataclass(frozen=True, slots=True)
class Step:
    """One level and how long after falling asleep it is taken."""

    level: Level
    after: float
    """Seconds asleep; 0 for the level that it goes to at first."""


def ladder(
    policy: AutoStandbyPolicy,
    supported: Set[Level],
    wakes: Sequence[tuple[Level, float]] = (),
    barred: Set[Level] = frozenset(),
) -> tuple[Step, ...]:
    """Return the steps in order of depth and time; none when this machine cannot do what the policy allows.

    Args:
        policy: an enabled one.
        supported: the levels the runtime can do here.
        wakes: the instance's last wakes, (level woken from, seconds). With `wake_objective` a level is
            taken while the 95th percentile of its own wakes meets the objective. One without wakes is
            tried; since only the last wakes are remembered, one that was too slow is tried again after many
            wakes from others. The shallowest level stays, whatever it takes: an instance that never slept
            would never be measured again.
        barred: levels that failed lately; passed over as long as another one is left.
    """
    usable = [level for level in sorted(supported, key=lambda level: level.depth) if level is not Level.AWAKE]
    if policy.wake_objective is not None:
        usable = usable[:1] + [
            level for level in usable[1:] if (percentile_95(level, wakes) or 0.0) <= policy.wake_objective
        ]
    deepest = policy.level or Level.STANDBY
    allowed = [level for level in usable if level.depth <= deepest.depth]
    allowed = [level for level in allowed if level not in barred] or allowed[:1]
    if not allowed:
        return ()
    first, last = allowed[0], allowed[-1]
    if last is Level.STOPPED and policy.stop_after is not None and len(allowed) > 1:
        last = allowed[-2]
    if policy.reclaim_after is not None and first is Level.FROZEN and last is not Level.FROZEN:
        steps = [Step(Level.FROZEN, 0.0), Step(last, policy.reclaim_after)]
    else:
        steps = [Step(last, 0.0)]
    may_stop = Level.STOPPED in usable and Level.STOPPED not in barred
    if policy.stop_after is not None and may_stop and steps[-1].level is not Level.STOPPED:
        steps.append(Step(Level.STOPPED, policy.stop_after))
    return tuple(steps)


def next_step(steps: Sequence[Step], level: Level) -> Step | None:
    """Return the first step that is deeper than the level the instance sleeps at."""
    return next((step for step in steps if step.level.depth > level.depth), None)


def percentile_95(level: Level, wakes: Sequence[tuple[Level, float]]) -> float | None:
    """Return the 95th percentile (nearest rank) of the wakes from a level in seconds; None without any."""
    seconds = sorted(taken for woken_from, taken in wakes if woken_from is level)
    return seconds[ceil(0.95 * len(seconds)) - 1] if seconds else None
