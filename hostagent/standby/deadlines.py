"""What the controller waits for, per instance and for all, on one timer of the loop."""

from collections.abc import Callable
from enum import Enum

from hostagent.instances.model import InstanceId
from hostagent.standby.steady_clock import SteadyClock
from hostagent.standby.timers import Alarm, TimerHeap


class Timer(Enum):
    """What a deadline is for."""

    SLEEP = "the countdown and every lease of an instance are over"
    LOOK = "an instance's connections are to be read again"
    DEEPER = "a sleeping instance goes to the next level"
    RESYNC = "events were lost"
    SYNC = "everything is to be compared with the kernel's table"


class Deadlines:
    """One deadline per timer and instance (None: for all instances), on the steady clock."""

    def __init__(self, clock: SteadyClock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._heap: TimerHeap[tuple[Timer, InstanceId | None]] = TimerHeap()
        self._alarm = Alarm(ring)
        self._open = True

    def set(self, timer: Timer, instance: InstanceId | None, when: float | None) -> None:
        """Set or move a deadline; None removes it."""
        if when is None:
            self._heap.cancel((timer, instance))
            return
        self._heap.set((timer, instance), when)
        self.wait()

    def when(self, timer: Timer, instance: InstanceId | None) -> float | None:
        """Return a deadline."""
        return self._heap.when((timer, instance))

    def due(self) -> list[tuple[Timer, InstanceId | None]]:
        """Remove and return what is due."""
        return self._heap.due(self._clock.now())

    def wait(self) -> None:
        """Have the loop ring at the earliest deadline."""
        if self._open:
            self._alarm.set(self._heap.next(), self._clock.now())

    def close(self) -> None:
        """Ring no more."""
        self._open = False
        self._alarm.cancel()

    def __len__(self) -> int:
        """Return how many deadlines there are."""
        return len(self._heap)
