"""The named places in a transition where a test may step in; nothing happens there otherwise.

Each is just after the thing it is named for. A test delays there, sends a packet, fails, or kills the agent.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from hostagent.instances.model import InstanceId


class FaultPoint(StrEnum):
    """In the order of each transition."""

    CREATE_RECORDED = "create.recorded"

    START_INTENT = "start.intent"
    START_ATTACHED = "start.attached"
    START_GATED = "start.gated"
    START_LAUNCHED = "start.launched"
    START_RECORDED = "start.recorded"

    SLEEP_LOCKED = "sleep.locked"
    SLEEP_INTENT = "sleep.intent"
    SLEEP_TRAPPED = "sleep.trapped"
    SLEEP_CHECKED = "sleep.checked"
    SLEEP_FROZEN = "sleep.frozen"
    SLEEP_RECHECKED = "sleep.rechecked"
    SLEEP_RECLAIMED = "sleep.reclaimed"
    SLEEP_STOPPED = "sleep.stopped"
    SLEEP_RECORDED = "sleep.recorded"

    WAKE_THAWED = "wake.thawed"
    WAKE_INTENT = "wake.intent"
    WAKE_UNTRAPPED = "wake.untrapped"
    WAKE_RECORDED = "wake.recorded"

    STOP_INTENT = "stop.intent"
    STOP_STOPPED = "stop.stopped"
    STOP_RECORDED = "stop.recorded"

    DELETE_INTENT = "delete.intent"
    DELETE_STOPPED = "delete.stopped"
    DELETE_DETACHED = "delete.detached"
    DELETE_RECORDED = "delete.recorded"


SLEEP_POINTS = tuple(point for point in FaultPoint if point.startswith("sleep."))
"""Where somebody may come while an instance goes to sleep."""

Faults = Callable[[FaultPoint, InstanceId], Awaitable[None]]


async def no_faults(point: FaultPoint, instance: InstanceId) -> None:
    """Do nothing: what production uses."""
