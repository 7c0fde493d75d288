"""The counts of all instances, each also in a file, so that a killed daemon forgets nothing."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from hostagent.gatefile import counter

_WIDTH = 24
"""Bytes of a stored count: always the same, so that one write replaces all of it."""

Listener = Callable[[str, int | None], None]
"""Told instance and count (None: removed) under the lock, before the writer gets its answer; never blocks."""


class Counts:
    """Counts by instance; every method is safe from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._stores: dict[str, int] = {}
        self._listeners: list[Listener] = []
        for path in sorted(directory.iterdir()):
            self._open(path.name)

    def _open(self, instance: str) -> None:
        store = os.open(self._directory / instance, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        text = os.pread(store, _WIDTH, 0).strip()
        self._stores[instance] = store
        self._counts[instance] = int(text) if text.isdigit() else 0

    def create(self, instance: str, *, reset: bool) -> int:
        """Add an instance at 0; one that is there keeps its count unless `reset`. Return the count."""
        with self._lock:
            is_new = instance not in self._counts
            if is_new:
                self._open(instance)
            if reset or is_new:
                self._set(instance, 0 if reset else self._counts[instance])
            return self._counts[instance]

    def remove(self, instance: str) -> None:
        """Forget an instance; one that is not there is fine."""
        with self._lock:
            if (store := self._stores.pop(instance, None)) is None:
                return
            os.close(store)
            (self._directory / instance).unlink(missing_ok=True)
            del self._counts[instance]
            self._tell(instance, None)

    def write(self, instance: str, command: bytes) -> None:
        """Do what the command says; raises `KeyError` and what `counter.apply` does."""
        with self._lock:
            self._set(instance, counter.apply(self._counts[instance], command))

    def read(self, instance: str) -> int:
        """Return a count; raises `KeyError`."""
        with self._lock:
            return self._counts[instance]

    def all(self) -> dict[str, int]:
        """Return every count."""
        with self._lock:
            return dict(self._counts)

    def listen(self, listener: Listener, begin: Callable[[dict[str, int]], None]) -> None:
        """Hand all counts to `begin`, then every later change to `listener`; none between is missed."""
        with self._lock:
            begin(dict(self._counts))
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        """Tell no more."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _set(self, instance: str, count: int) -> None:
        os.pwrite(self._stores[instance], str(count).encode().ljust(_WIDTH), 0)
        self._counts[instance] = count
        self._tell(instance, count)

    def _tell(self, instance: str, count: int | None) -> None:
        for listener in tuple(self._listeners):
            listener(instance, count)
