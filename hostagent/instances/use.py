"""Publishes when somebody begins to use an instance and when nobody does any more."""

from hostagent.clock import Clock
from hostagent.instances.events import EventLog, EventType
from hostagent.instances.model import InstanceId
from hostagent.instances.registry import Registry
from hostagent.standby.decision import Assessment, Status

_USED = (Status.ACTIVE, Status.GATE_HELD, Status.LEASE_HELD)


class UseTeller:
    """Turns rows of the status table into `active` and `idle` events, one for each change between the two."""

    def __init__(self, registry: Registry, events: EventLog, clock: Clock) -> None:
        self._registry = registry
        self._events = events
        self._clock = clock
        self._told: dict[InstanceId, tuple[EventType, int]] = {}

    def changed(self, instance_id: InstanceId, assessment: Assessment, seconds: float | None) -> None:
        """Take what the controller says of an instance."""
        instance = self._registry.get(instance_id)
        if instance is None:
            self._told.pop(instance_id, None)
            return
        if assessment.status in _USED:
            kind = EventType.ACTIVE
        elif assessment.status is Status.IDLE_COUNTDOWN and seconds:
            kind = EventType.IDLE
        else:
            return
        told = (kind, instance.record.generation)
        if self._told.get(instance_id) == told:
            return
        self._told[instance_id] = told
        self._events.publish(
            self._clock.now(),
            kind,
            instance=instance_id,
            name=instance.name,
            generation=instance.record.generation,
            level=instance.level,
            reason=assessment.evidence[0].detail if assessment.evidence else assessment.reason.value,
            seconds=None if seconds is None or kind is EventType.ACTIVE else round(seconds, 3),
        )
