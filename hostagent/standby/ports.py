"""What the controller needs of the instances, and what it offers them while they go to sleep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from hostagent.activity.contract import Address
from hostagent.activity.evidence import Evidence
from hostagent.instances.model import AutoStandbyPolicy, InstanceId, Level, State

LifecycleAction = Literal["create", "update", "start", "stop", "standby", "restore", "delete"]


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance as it is at this moment; all times are wall times, seconds since 1970 (UTC)."""

    id: InstanceId
    state: State
    level: Level
    generation: int
    policy: AutoStandbyPolicy | None = None
    addresses: tuple[Address, ...] = ()
    """Empty when it has none (`missing_ip`)."""
    network: bool = True
    """False: it was made without a network."""
    has_vgpu: bool = False
    waking: bool = False
    """A wake is under way."""
    since: float | None = None
    """Awake since, or asleep since (kept while it goes to deeper levels); None when not known."""
    idle_since: float | None = None
    last_inbound_activity_at: float | None = None
    levels: frozenset[Level] = frozenset()
    """What its runtime can do on this machine, by its probes."""
    wakes: tuple[tuple[Level, float], ...] = ()
    """The last wakes: level woken from, seconds it took."""


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """Something happened to an instance; told on the loop, after it is true and journalled."""

    action: LifecycleAction
    instance: InstanceId
    view: InstanceView | None
    """The instance after it, with its current stamps; None after `delete`."""


@dataclass(frozen=True, slots=True)
class IdleStamps:
    """What outlives the agent of an instance's idleness (wall times)."""

    idle_since: float | None
    last_inbound_activity_at: float | None


class StillIdle(Protocol):
    """The last look before a sleep is committed."""

    def __call__(self, instance: InstanceId) -> Evidence | None:
        """Re-read flows, gate and leases now; None means nothing is there. Never raises: what cannot be read
        is evidence (`unreadable`). Takes as long as one filtered dump of the connection table.
        """


class InstancesPort(Protocol):
    """The instances, as the lifecycle offers them to the controller."""

    def list(self) -> list[InstanceView]:
        """Return every instance; cheap (from memory)."""

    def get(self, instance: InstanceId) -> InstanceView | None:
        """Return one, None when there is none."""

    def subscribe(self, listener: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """Tell every transition and every change of policy (`restore` when a wake begins, with `waking`, and
        when it has ended); returns how to stop listening.
        """

    async def standby(
        self, instance: InstanceId, level: Level, *, generation: int, reason: str, still_idle: StillIdle
    ) -> None:
        """Put it to sleep, or deeper to sleep, in the order of the design: trap, `still_idle`, freeze,
        `still_idle` once more, then reclaim, save or stop. Returns when the level is reached and journalled.

        Args:
            instance: who.
            level: how deep; deeper levels pass through the ones before.
            generation: the generation the decision was made on; another one means that it is stale.
            reason: for the event and the journal, for example `idle_timeout`.
            still_idle: called under the instance's lock, right before and right after the freeze.

        Raises:
            SleepAborted: somebody came or the generation is another; an instance that was awake is awake
                (thawed), one that was asleep already is as it was or awake.
            InstanceInStandbyError: it sleeps at this level or a deeper one already.
            InvalidStateError: it is not in a state to sleep (stopped by the operator, being deleted).
            NotFoundError: there is no such instance any more.
            UnsupportedError: the runtime cannot do this level after all.
            HostError: it failed; an instance that was awake is awake.
        """

    async def set_stamps(self, stamps: Mapping[InstanceId, IdleStamps]) -> None:
        """Write the stamps down, all in one transaction, without blocking the loop; ids that are gone are
        skipped. The controller never has two of these calls under way. Raises HostError or OSError when it
        cannot. A wake and a start clear `idle_since` by themselves.
        """
