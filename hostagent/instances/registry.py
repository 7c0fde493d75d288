"""The instances the agent knows, in memory: found by id, name or the beginning of an id."""

import asyncio
import secrets
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from hostagent.errors import AmbiguousError, NameConflictError, NotFoundError
from hostagent.instances.model import InstanceId, InstanceRecord, InstanceSpec, Level, PublishedPort, State

_ALPHABET = string.ascii_lowercase + string.digits


def new_id() -> InstanceId:
    """Return a new id: 24 characters, the first a letter."""
    return InstanceId(
        secrets.choice(string.ascii_lowercase) + "".join(secrets.choice(_ALPHABET) for _ in range(23))
    )


@dataclass(slots=True)
class Fall:
    """A sleep under way; whoever comes aborts it, until the last release."""

    target: Level
    step: str = "lock"
    """Where it is, for the event that tells of an abort."""
    aborted_by: str | None = None
    released: bool = False
    """What slept is being let go: coming back needs a whole wake now."""
    wake_after: str | None = None
    """Somebody came after the release: wake it as soon as it has gone to sleep."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self, reason: str) -> None:
        """Ask for it to be given up; the first reason is kept."""
        if self.released:
            self.wake_after = self.wake_after or reason
        else:
            self.aborted_by = self.aborted_by or reason
            self.came.set()


@dataclass(slots=True, eq=False)
class Instance:
    """One instance as this run of the agent knows it."""

    record: InstanceRecord
    level: Level
    """How deep it sleeps now; the journal's may lag behind by a transition."""
    since: float
    """Wall time at which it came to this level."""
    turned: float | None = None
    """Wall time at which it fell asleep or woke last; None when this run of the agent has not seen it."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever changes the instance."""
    fall: Fall | None = None
    waking: asyncio.Task[None] | None = None
    """The one wake under way, whoever asked."""
    ending: bool = False
    """Somebody stops it, so that its end is no news."""
    attached: bool = False
    """Its network is there, as this run of the agent has seen to."""
    deleted: bool = False
    unwatch: Callable[[], None] | None = None
    """Stops listening for the end of its command."""
    trouble: str | None = None
    """Why the agent could not take it over, None when all is well."""

    @property
    def id(self) -> InstanceId:
        """Its id."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.spec.name

    @property
    def state(self) -> State:
        """What follows from the level."""
        return state_of(self.level)

    @property
    def wakeable(self) -> bool:
        """It sleeps, and a packet may wake it."""
        return self.level is not Level.AWAKE and self.record.wanted == "running"


def state_of(level: Level) -> State:
    """Return the API's state of a level: what has a process or an image is in standby."""
    if level is Level.AWAKE:
        return State.RUNNING
    return State.STOPPED if level is Level.STOPPED else State.STANDBY


class Registry:
    """All instances. Changes are synchronous, so that two callers cannot take the same name."""

    def __init__(self) -> None:
        self._instances: dict[InstanceId, Instance] = {}

    def __iter__(self) -> Iterator[Instance]:
        """Iterate over a copy, the oldest first."""
        return iter(list(self._instances.values()))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._instances)

    def get(self, instance: InstanceId) -> Instance | None:
        """Return the instance with that id."""
        return self._instances.get(instance)

    def require(self, instance: InstanceId) -> Instance:
        """Return it; raises NotFoundError."""
        if (found := self._instances.get(instance)) is None:
            raise NotFoundError(f"there is no instance {instance!r}; it may have been removed")
        return found

    def find(self, key: str) -> Instance:
        """Return the instance with that id or name, or whose id begins so.

        Raises NotFoundError, AmbiguousError.
        """
        if found := self._instances.get(InstanceId(key)):
            return found
        for one in self._instances.values():
            if one.name == key:
                return one
        hits = [one for one in self._instances.values() if key and one.id.startswith(key)]
        if len(hits) > 1:
            names = ", ".join(f"{one.id} ({one.name})" for one in hits[:5])
            raise AmbiguousError(f"{key!r} is the beginning of {len(hits)} ids: {names}; write more of it")
        if not hits:
            raise NotFoundError(f"there is no instance {key!r}; `catnap host ls` shows those there are")
        return hits[0]

    def check_free(self, spec: InstanceSpec) -> None:
        """Raise NameConflictError when the name or a published port is taken."""
        for port, other in ((a, b) for i, a in enumerate(spec.ports) for b in spec.ports[:i]):
            if _collide(port, other):
                raise NameConflictError(f"the port {_shown(port)} is published twice")
        for one in self._instances.values():
            if one.name == spec.name:
                raise NameConflictError(f"the name {spec.name!r} is taken by the instance {one.id}")
            for port in spec.ports:
                for other in one.record.spec.ports:
                    if _collide(port, other):
                        raise NameConflictError(
                            f"the port {_shown(port)} is published by the instance {one.name!r} already"
                        )

    def add(self, instance: Instance) -> None:
        """Take an instance in."""
        self._instances[instance.id] = instance

    def remove(self, instance: InstanceId) -> None:
        """Forget an instance."""
        self._instances.pop(instance, None)


def _collide(one: PublishedPort, other: PublishedPort) -> bool:
    if (one.host_port, one.protocol) != (other.host_port, other.protocol):
        return False
    if one.host_address is None or other.host_address is None:
        return True
    return ip_address(one.host_address) == ip_address(other.host_address)


def _shown(port: PublishedPort) -> str:
    address = f"{port.host_address}:" if port.host_address else ""
    return f"{address}{port.host_port}/{port.protocol}"
