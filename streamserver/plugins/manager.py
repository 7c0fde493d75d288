"""Starts plugins in the order of their dependencies and stops them in the reverse."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel

from streamserver.logs import get_logger
from streamserver.plugins.contract import Exposing, Managers, PluginError, ServiceUnavailableError
from streamserver.plugins.discovery import Discovered, Found, discover
from streamserver.plugins.order import start_order

if TYPE_CHECKING:
    from streamserver.config import Settings

__all__ = ["Discovered", "PluginManager", "PluginState", "discover"]

log = get_logger("plugins")

START_TIMEOUT = 30.0
"""Seconds a plugin may take to start before it counts as failed."""
SHUTDOWN_TIMEOUT = 3.0
"""Seconds a plugin may take to shut down before we go on without it."""


class PluginState(enum.StrEnum):
    """What became of a plugin."""

    FOUND = "found"
    """Not started yet."""
    STARTED = "started"
    FAILED = "failed"
    """It could not be loaded, or its start raised."""
    SKIPPED = "skipped"
    """Something it depends on does not run."""
    STOPPED = "stopped"


@dataclass
class _Entry:
    name: str
    source: str
    state: PluginState
    reason: str = ""
    found: Found | None = None

    def describe(self) -> dict[str, object]:
        plugin = self.found.plugin if self.found else None
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "depends_on": list(self.found.depends_on) if self.found else [],
            "service": isinstance(plugin, Exposing),
            "source": self.source,
        }


class PluginManager:
    """Owns the life of the plugins that `discover` found. One plugin's failure never stops another."""

    def __init__(
        self,
        discovered: Discovered,
        settings: Settings,
        *,
        start_timeout: float = START_TIMEOUT,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    ) -> None:
        """Take what was found and the configuration; timeouts in seconds, for each plugin."""
        self._settings = settings
        self._start_timeout = start_timeout
        self._shutdown_timeout = shutdown_timeout
        self._entries = {
            name: _Entry(name, found.source, PluginState.FOUND, found=found)
            for name, found in discovered.found.items()
        }
        self._not_loaded = [
            _Entry(failure.name, failure.source, PluginState.FAILED, failure.reason)
            for failure in discovered.failures
        ]
        self._started: list[_Entry] = []

    async def start(self, managers: Managers) -> None:
        """Start all plugins, each after those it depends on.

        Raises:
            PluginError: with `plugins.required`, when any plugin was not loaded or did not start; those that
                had started are shut down again.
        """
        given = replace(managers, service=self.service)
        for entry in self._not_loaded:
            log.error("plugin not loaded", plugin=entry.name, source=entry.source, reason=entry.reason)
        order = start_order(
            {name: entry.found.depends_on for name, entry in self._entries.items() if entry.found},
            {entry.name: entry.reason for entry in self._not_loaded},
        )
        for name in order.order:
            await self._start(self._entries[name], given)
        for name, reason in order.impossible.items():
            self._skip(self._entries[name], reason)
        if self._settings.plugins.required:
            await self._insist()

    async def shutdown(self) -> None:
        """Stop the started plugins in the reverse order; failures and stuck ones are logged. Never raises."""
        while self._started:
            entry = self._started.pop()
            await self._shut_down(entry)
            entry.state = PluginState.STOPPED

    def describe(self) -> list[dict[str, object]]:
        """Return name, state, reason, depends_on, service, source of each: for `GET /api/plugins`."""
        return [entry.describe() for entry in (*self._entries.values(), *self._not_loaded)]

    def service(self, name: str) -> object:
        """Return the object that a started plugin exposes.

        Raises:
            ServiceUnavailableError: no such plugin, it does not run, or it exposes nothing.
        """
        entry = self._entries.get(name)
        if entry is None or entry.found is None:
            known = ", ".join(sorted(self._entries)) or "none"
            raise ServiceUnavailableError(f"there is no plugin {name!r} (there are: {known})")
        if entry.state is not PluginState.STARTED:
            raise ServiceUnavailableError(
                f"plugin {name!r} is {entry.state.value}; list it in depends_on, so that it starts first"
            )
        if not isinstance(entry.found.plugin, Exposing):
            raise ServiceUnavailableError(f"plugin {name!r} exposes no service")
        return entry.found.plugin.service()

    async def _start(self, entry: _Entry, managers: Managers) -> None:
        assert entry.found is not None
        for needed in entry.found.depends_on:
            if self._entries[needed].state is not PluginState.STARTED:
                self._skip(entry, f"it needs plugin {needed!r}, which is {self._entries[needed].state.value}")
                return
        plugin = entry.found.plugin
        try:
            settings = self._section(entry.name, plugin.settings_model)
            await _bounded(plugin.start(managers, settings), self._start_timeout)
        except Exception as error:
            entry.state = PluginState.FAILED
            entry.reason = f"start raised {error!r}"
            log.exception("plugin failed to start", plugin=entry.name, source=entry.source)
            await self._shut_down(entry)
            return
        entry.state = PluginState.STARTED
        self._started.append(entry)
        log.info("plugin started", plugin=entry.name)

    def _skip(self, entry: _Entry, reason: str) -> None:
        entry.state = PluginState.SKIPPED
        entry.reason = reason
        log.error("plugin skipped", plugin=entry.name, reason=reason)

    async def _insist(self) -> None:
        broken = [
            entry
            for entry in (*self._entries.values(), *self._not_loaded)
            if entry.state in (PluginState.FAILED, PluginState.SKIPPED)
        ]
        if broken:
            await self.shutdown()
            listed = "; ".join(f"{entry.name}: {entry.reason}" for entry in broken)
            raise PluginError(f"plugins.required is true and not every plugin runs: {listed}")

    async def _shut_down(self, entry: _Entry) -> None:
        assert entry.found is not None
        try:
            await _bounded(entry.found.plugin.shutdown(), self._shutdown_timeout)
        except TimeoutError as error:
            log.error("plugin failed to shut down", plugin=entry.name, reason=str(error))
        except Exception:
            log.exception("plugin failed to shut down", plugin=entry.name)

    def _section(self, name: str, model: type[BaseModel]) -> BaseModel:
        return self._settings.plugin_settings.get(name) or model()


async def _bounded(work: Awaitable[None], timeout: float) -> None:
    """Await `work`, but not longer than `timeout` seconds, even if it ignores its cancellation.

    Raises:
        TimeoutError: it took longer. It has been cancelled; whether it obeys is its own affair.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        task.add_done_callback(_retrieve)
        raise TimeoutError(f"it did not finish within {timeout:g} s")
    task.result()


def _retrieve(task: asyncio.Future[None]) -> None:
    """Look at the late outcome, so that asyncio does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
