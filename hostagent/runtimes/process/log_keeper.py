"""Keeps the logs of awake instances bounded; does nothing while all sleep."""

import asyncio
from pathlib import Path

import structlog

from hostagent.instances.model import InstanceId
from hostagent.runtimes.process.output_log import bound

log = structlog.get_logger("process_runtime")

INTERVAL = 1.0
"""Seconds between two looks at an awake instance's log (a stat each)."""


class LogKeeper:
    """Looks at logs once a second as long as anybody can write to one."""

    def __init__(self) -> None:
        self._logs: dict[InstanceId, Path] = {}
        self._awake: set[InstanceId] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def looks(self) -> bool:
        """Whether it will look again: at least one that it watches is awake."""
        return self._timer is not None

    def watch(self, instance: InstanceId, path: Path) -> None:
        """Keep that log bounded from now on."""
        self._logs[instance] = path
        self.resume(instance)

    def rest(self, instance: InstanceId) -> None:
        """It is frozen: nothing is written."""
        self._awake.discard(instance)

    def resume(self, instance: InstanceId) -> None:
        """It runs again."""
        if instance in self._logs:
            self._awake.add(instance)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def forget(self, instance: InstanceId) -> None:
        """It has ended; a last look."""
        if (path := self._logs.pop(instance, None)) is not None:
            self._bound(instance, path)
        self._awake.discard(instance)

    def close(self) -> None:
        """Look no more."""
        self._logs.clear()
        self._awake.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for instance in self._awake:
            self._bound(instance, self._logs[instance])
        if self._awake:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _bound(self, instance: InstanceId, path: Path) -> None:
        try:
            if bound(path):
                log.info("the instance's log was full and has been moved aside", instance=instance)
        except OSError as error:
            log.warning("the instance's log cannot be bounded", instance=instance, error=str(error))
