"""The contract between the server and its plugins: read this file to write one.

A plugin is a module (or package) that exposes `plugin`: a class, or any callable without arguments, that
makes an object with the attributes of `Plugin`. It is found through the entry-point group
`streamserver.plugins` or in the directory `plugins.dir`. `docs/plugins.md` has a whole example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from streamserver.desktop.errors import DesktopError
from streamserver.plugins.health import HealthRegistry

if TYPE_CHECKING:  # the rooms these come from import this one
    from streamserver.api.app import ApiManager
    from streamserver.sessions.manager import SessionManager
    from streamserver.websocket.manager import WebSocketManager

__all__ = [
    "ENTRY_POINT_GROUP",
    "Dependent",
    "DesktopError",
    "Exposing",
    "Managers",
    "NoDesktop",
    "Plugin",
    "PluginError",
    "ServiceUnavailableError",
    "SharedDesktop",
    "no_services",
]

ENTRY_POINT_GROUP = "streamserver.plugins"
"""Entry points of this group are plugins."""


class PluginError(Exception):
    """A plugin could not be loaded, ordered or started; the message names it and what to do."""


class ServiceUnavailableError(PluginError):
    """A plugin asked for the service of one that does not run or exposes none."""


def no_services(name: str) -> object:
    """Answer a service look-up where no plugin manager stands behind it."""
    raise ServiceUnavailableError(
        f"the service of plugin {name!r} was asked for, but no plugin has been started"
    )


class SharedDesktop(Protocol):
    """What a plugin may do on the shared screen. Both raise `DesktopError`, which says why not."""

    async def open_page(self, url: str) -> None:
        """Open an address in a new tab of the shared browser."""

    async def run_program(self, command: Sequence[str]) -> None:
        """Start a program there, as the browser's user, without a shell; the desktop ends it with itself."""


class NoDesktop:
    """Stands where there is no desktop behind the plugins."""

    async def open_page(self, url: str) -> None:
        """Refuse."""
        raise DesktopError("there is no shared screen")

    async def run_program(self, command: Sequence[str]) -> None:
        """Refuse."""
        raise DesktopError("there is no shared screen")


@dataclass(frozen=True)
class Managers:
    """What a plugin is given at start. Everything here is used on the event loop only."""

    sessions: SessionManager
    """Who is connected; `sessions.events` has the signals."""
    websocket: WebSocketManager
    """`add_handler(fn(session, event, payload) -> bool)`: for events the server itself does not know."""
    api: ApiManager
    """`add_router` (under /api, authenticated), `add_root_router` (open), `add_middleware`: in start only."""
    registry: CollectorRegistry
    """Where the plugin creates its metrics."""
    run_dir: Path
    """A directory that lasts until the next boot, writable by the server."""
    health: HealthRegistry
    """Where the plugin registers a probe."""
    desktop: SharedDesktop = field(default_factory=NoDesktop)
    """The shared screen."""
    service: Callable[[str], object] = no_services
    """The object that another, already started plugin exposes (list it in `depends_on`);
    raises `ServiceUnavailableError`."""


class Plugin(Protocol):
    """What every plugin has."""

    @property
    def name(self) -> str:
        """Its name, `[a-z][a-z0-9_]*`: also the section of its settings, and `plugin=` in the log."""

    @property
    def settings_model(self) -> type[BaseModel]:
        """The model of its section; every field with a default, so that the section may be left out."""

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        """Begin to work. `settings` is an instance of `settings_model`.

        Anything raised is logged, and this plugin and those that depend on it are left out
        (with `plugins.required` the server does not start).
        """

    async def shutdown(self) -> None:
        """Stop and undo. Called once for each `start`, also for one that failed half-way. Time-bounded."""


@runtime_checkable
class Dependent(Protocol):
    """Optional: a plugin that needs others to be started first."""

    @property
    def depends_on(self) -> Sequence[str]:
        """Names of the plugins that must be running."""


@runtime_checkable
class Exposing(Protocol):
    """Optional: a plugin that offers an object to those that depend on it."""

    def service(self) -> object:
        """Return that object; called when somebody asks for it, after `start`."""
