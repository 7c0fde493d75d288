"""What the controller remembers of one instance. All times are of the steady clock."""

from collections import deque
from dataclasses import dataclass, field

from hostagent.activity.evidence import Evidence
from hostagent.activity.flow_set import FlowSet
from hostagent.instances.model import Level, State
from hostagent.standby.decision import Facts, is_eligible
from hostagent.standby.ladder import Step, ladder
from hostagent.standby.ports import InstanceView
from hostagent.standby.sleep_queue import Request
from hostagent.standby.status import Past

MAX_HISTORY = 64

FIRST_SETBACK = 60.0
"""Seconds that a level is passed over after it failed once; doubled with each failure."""

LONGEST_SETBACK = 3600.0


@dataclass(slots=True)
class Setback:
    """A level that failed lately."""

    failures: int
    until: float


@dataclass(slots=True)
class Tracked:
    """One instance."""

    view: InstanceView
    flows: FlowSet | None = None
    """None while it is not eligible: then nothing is watched."""
    seeded: bool = False
    """Its connections were read at least once since it became eligible."""
    idle_since: float | None = None
    last_use: float | None = None
    """When use of any kind was seen last, since it became eligible."""
    last_inbound: float | None = None
    gate: int = 0
    """The last count that was known: an unknown one in between is no use by itself."""
    request: Request | None = None
    executing: Request | None = None
    disturbed: Evidence | None = None
    stamped: float | None = None
    """The `idle_since` that is written down."""
    asleep_since: float | None = None
    """When it was seen asleep first, for one that fell asleep before this run of the agent."""
    setbacks: dict[Level, Setback] = field(default_factory=dict)
    history: deque[Past] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))

    @property
    def asleep(self) -> bool:
        """It sleeps, and nobody wakes it at this moment."""
        return self.view.state is State.STANDBY and not self.view.waking

    def eligible(self) -> bool:
        """It can be tracked now."""
        return is_eligible(self.standing(), self.view.policy)

    def standing(self) -> Facts:
        """Return the facts that need no look at the world."""
        view = self.view
        return Facts(
            state=view.state,
            waking=view.waking,
            network=view.network,
            has_address=bool(view.addresses),
            has_vgpu=view.has_vgpu,
            can_sleep=self._can_sleep(),
        )

    def steps(self, now: float) -> tuple[Step, ...]:
        """Return the ladder of this instance."""
        policy = self.view.policy
        if policy is None or not policy.enabled:
            return ()
        barred = frozenset(level for level, setback in self.setbacks.items() if setback.until > now)
        return ladder(policy, self.view.levels, self.view.wakes, barred)

    def use(self, now: float) -> None:
        """Somebody uses it, or did until now."""
        self.last_use = now if self.last_use is None else max(self.last_use, now)

    def inbound(self, moment: float) -> None:
        """A connection was use at a moment."""
        self.last_inbound = moment if self.last_inbound is None else max(self.last_inbound, moment)

    def unwatch(self) -> None:
        """Forget all activity: it is not eligible (any more)."""
        self.flows = None
        self.seeded = False
        self.idle_since = self.last_use = self.stamped = None
        self.gate = 0

    def bar(self, level: Level, now: float) -> None:
        """Pass a level over for a while."""
        failures = self.setbacks[level].failures + 1 if level in self.setbacks else 1
        pause = min(LONGEST_SETBACK, FIRST_SETBACK * 2 ** min(failures - 1, 16))
        self.setbacks[level] = Setback(failures, now + pause)

    def _can_sleep(self) -> bool:
        policy = self.view.policy
        return policy is not None and policy.enabled and bool(ladder(policy, self.view.levels))
