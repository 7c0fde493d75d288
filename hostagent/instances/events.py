"""What happened, in order: a bounded memory that can be replayed, and streams nobody has to wait for."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from hostagent.instances.model import InstanceId, Level


class EventType(StrEnum):
    """Kinds of events; those hypeman has, have its names."""

    CREATE = "create"
    UPDATE = "update"
    START = "start"
    STOP = "stop"
    EXIT = "exit"
    STANDBY = "standby"
    STANDBY_ABORTED = "standby_aborted"
    STANDBY_FAILED = "standby_failed"
    RESTORE = "restore"
    RESTORE_FAILED = "restore_failed"
    DELETE = "delete"
    ADOPT = "adopt"
    ACTIVE = "active"
    IDLE = "idle"
    HOLD = "hold"
    AGENT_STARTED = "agent_started"
    AGENT_STOPPING = "agent_stopping"
    MISSED = "missed"


DESCRIPTIONS = {
    EventType.CREATE: "an instance was made",
    EventType.UPDATE: "its policy was changed",
    EventType.START: "its command was started",
    EventType.STOP: "it was stopped because somebody asked",
    EventType.EXIT: "its command ended by itself; `exit_status` says how where known",
    EventType.STANDBY: "it went to sleep, or deeper: `from_level`, `level`, `seconds`, `bytes` given back",
    EventType.STANDBY_ABORTED: "going to sleep was given up as somebody came; `reason` says who, `step` when",
    EventType.STANDBY_FAILED: "going to sleep failed; it is awake",
    EventType.RESTORE: "it was woken: `from_level`, `seconds`, `reason`",
    EventType.RESTORE_FAILED: "it could not be woken; what slept is kept",
    EventType.DELETE: "it was removed",
    EventType.ADOPT: "the agent started and found it as `level`",
    EventType.ACTIVE: "somebody uses it: `reason`",
    EventType.IDLE: "nobody uses it any more; `seconds` until it sleeps",
    EventType.HOLD: "it is kept awake for `seconds`",
    EventType.AGENT_STARTED: "the agent has started; `epoch` is the number of this run",
    EventType.AGENT_STOPPING: "the agent ends; instances stay as they are",
    EventType.MISSED: "only in a stream: events before this one cannot be replayed any more",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    sequence: int
    """Goes up by one, over restarts of the agent, too (then with a gap)."""
    at: float
    """Seconds since 1970 (UTC)."""
    type: EventType
    instance: InstanceId | None = None
    name: str | None = None
    generation: int | None = None
    level: Level | None = None
    from_level: Level | None = None
    reason: str = ""
    details: dict[str, str | int | float | None] = field(default_factory=dict)


class SlowSubscriberError(Exception):
    """A subscriber left so many events unread that its stream was closed."""


class EventLog:
    """The last events, and who listens."""

    def __init__(self, kept: int, queue: int, first_sequence: int = 1) -> None:
        """Keep `kept` events for replay, let `queue` wait for a subscriber, number from `first_sequence`."""
        self._kept: deque[Event] = deque(maxlen=kept)
        self._queue = queue
        self._next = first_sequence
        self._subscribers: set[_Subscriber] = set()
        self._listeners: list[Callable[[Event], None]] = []

    @property
    def last(self) -> int:
        """The number of the newest event, or the one before the first."""
        return self._next - 1

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with each event, at once; for parts of the agent itself."""
        self._listeners.append(listener)

    def publish(
        self,
        at: float,
        kind: EventType,
        *,
        instance: InstanceId | None = None,
        name: str | None = None,
        generation: int | None = None,
        level: Level | None = None,
        from_level: Level | None = None,
        reason: str = "",
        **details: str | int | float | None,
    ) -> Event:
        """Number the event, keep it, hand it to who listens; never waits."""
        event = Event(
            self._next, at, kind, instance, name, generation, level, from_level, reason, dict(details)
        )
        self._next += 1
        self._kept.append(event)
        for listener in self._listeners:
            listener(event)
        for subscriber in list(self._subscribers):
            subscriber.put(event)
        return event

    def history(self, instance: InstanceId, count: int = 50) -> list[Event]:
        """Return the last events of one instance, the oldest first."""
        found: list[Event] = []
        for event in reversed(self._kept):
            if event.instance == instance:
                found.append(event)
                if len(found) == count:
                    break
        return found[::-1]

    async def stream(
        self, after: int | None = None, instance: InstanceId | None = None
    ) -> AsyncIterator[Event]:
        """Yield kept events numbered above `after` (0: all; None: only new ones), then new ones for ever.

        The first is a `missed` when some above `after` are forgotten. Raises SlowSubscriberError when the
        caller does not keep up.
        """
        subscriber = _Subscriber(self._queue)
        replay = [event for event in self._kept if after is not None and event.sequence > after]
        first_kept = self._kept[0].sequence if self._kept else self._next
        self._subscribers.add(subscriber)
        try:
            if after and after + 1 < first_kept:
                yield Event(
                    first_kept - 1,
                    replay[0].at if replay else 0.0,
                    EventType.MISSED,
                    reason=f"what happened after event {after} and before {first_kept} is forgotten",
                )
            for event in replay:
                if instance is None or event.instance == instance:
                    yield event
            while True:
                event = await subscriber.get()
                if instance is None or event.instance == instance:
                    yield event
        finally:
            self._subscribers.discard(subscriber)


class _Subscriber:
    def __init__(self, size: int) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue(size)
        self._lost = False

    def put(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._lost = True

    async def get(self) -> Event:
        if self._lost and self._events.empty():
            raise SlowSubscriberError
        return await self._events.get()
