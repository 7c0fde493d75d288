"""All deadlines of all instances in one heap, and the one timer of the loop that waits for the earliest."""

import asyncio
import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

SLACK = 64
"""Outdated entries that are carried along before the heap is built anew."""


class TimerHeap(Generic[Key]):
    """One deadline per key. Pure: the caller brings the time."""

    def __init__(self) -> None:
        self._when: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def set(self, key: Key, when: float) -> None:
        """Set or move a deadline."""
        if key in self._when and self._when[key][0] == when:
            return
        self._count += 1
        self._when[key] = (when, self._count)
        heapq.heappush(self._heap, (when, self._count, key))
        if len(self._heap) > 2 * len(self._when) + SLACK:
            self._heap = [(when, count, key) for key, (when, count) in self._when.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Remove a deadline; fine when there is none."""
        self._when.pop(key, None)

    def when(self, key: Key) -> float | None:
        """Return a key's deadline."""
        found = self._when.get(key)
        return found[0] if found else None

    def next(self) -> float | None:
        """Return the earliest deadline."""
        while self._heap:
            when, count, key = self._heap[0]
            if self._when.get(key) == (when, count):
                return when
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> list[Key]:
        """Remove and return the keys whose deadline is here, the earliest first."""
        found = []
        while (when := self.next()) is not None and when <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._when[key]
            found.append(key)
        return found

    def __len__(self) -> int:
        """Return how many deadlines there are."""
        return len(self._when)


class Alarm:
    """Calls back once, on the loop, when a moment has come; a newer moment replaces it."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._when: float | None = None

    def set(self, when: float | None, now: float) -> None:
        """Ring at `when` (None: not at all), `now` being the same clock's present."""
        if when == self._when:
            return
        self.cancel()
        if when is not None:
            self._when = when
            self._handle = asyncio.get_running_loop().call_later(max(0.0, when - now), self._ring)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._when = None

    def _ring(self) -> None:
        self._handle = self._when = None
        self._callback()
