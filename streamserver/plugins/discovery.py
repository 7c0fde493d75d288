"""Finding plugins: installed entry points, then the plugin directory."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from streamserver.config import Settings
from streamserver.plugins.contract import ENTRY_POINT_GROUP, Dependent, Plugin, PluginError

if TYPE_CHECKING:
    from streamserver.config.settings import PluginsSettings

NAME = re.compile(r"[a-z][a-z0-9_]*")
ATTRIBUTE = "plugin"
"""What a plugin's module exposes."""


class UncheckedSettings(BaseModel):
    """Stands for the settings of a plugin that could not be loaded, so that its section is no unknown key."""

    model_config = ConfigDict(extra="allow", frozen=True)


@dataclass(frozen=True, slots=True)
class Found:
    """One usable plugin and where it came from."""

    plugin: Plugin
    source: str
    """`entry point NAME (module:attribute)` or the path of the file."""

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the plugins it needs."""
        return tuple(self.plugin.depends_on) if isinstance(self.plugin, Dependent) else ()


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """One that could not be used."""

    name: str
    """Its name, or the best guess: the entry point's name, the file's stem."""
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """All plugins that were found, in the order they were found."""

    found: Mapping[str, Found]
    failures: Sequence[NotLoaded] = ()

    def models(self) -> dict[str, type[BaseModel]]:
        """Return settings section -> model, for the configuration to validate."""
        unchecked: dict[str, type[BaseModel]] = {failure.name: UncheckedSettings for failure in self.failures}
        return unchecked | {name: found.plugin.settings_model for name, found in self.found.items()}


def discover(settings: PluginsSettings) -> Discovered:
    """Find and load all plugins; nothing is started.

    Entry points are always looked at, `plugins.dir` when `plugins.enabled`. Nothing is raised for a plugin
    that cannot be used: it is listed in `failures`. Of two with the same name the first wins.
    """
    found: dict[str, Found] = {}
    failures: list[NotLoaded] = []
    for source in _sources(settings):
        try:
            plugin = _checked(source.load(), source.description)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything at import
            failures.append(NotLoaded(source.guess, source.description, _sentence(error)))
            continue
        if (first := found.get(plugin.name)) is not None:
            reason = (
                f"there is a plugin named {plugin.name!r} already, from {first.source}; the first one is used"
            )
            failures.append(NotLoaded(plugin.name, source.description, reason))
            continue
        found[plugin.name] = Found(plugin, source.description)
    return Discovered(found, tuple(failures))


class _EntryPoint:
    def __init__(self, entry: importlib.metadata.EntryPoint) -> None:
        self._entry = entry
        self.guess = entry.name
        self.description = f"entry point {entry.name} ({entry.value})"

    def load(self) -> object:
        return self._entry.load()


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.guess = path.stem
        self.description = str(path)

    def load(self) -> object:
        module = _import_file(self._path)
        if not hasattr(module, ATTRIBUTE):
            raise PluginError(
                f"{self._path} exposes no {ATTRIBUTE!r}; let it be the plugin's class, or move the file"
            )
        return getattr(module, ATTRIBUTE)


class _MissingDirectory:
    guess = "plugins_dir"

    def __init__(self, directory: Path) -> None:
        self.description = str(directory)

    def load(self) -> object:
        raise PluginError(
            f"plugins.enabled is true but plugins.dir {self.description!r} is not a directory; create it, "
            "set plugins.dir, or set plugins.enabled to false"
        )


def _sources(settings: PluginsSettings) -> Iterator[_EntryPoint | _File | _MissingDirectory]:
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    yield from map(_EntryPoint, sorted(entries, key=lambda entry: entry.name))
    if not settings.enabled:
        return
    directory = Path(settings.dir)
    if not directory.is_dir():
        yield _MissingDirectory(directory)
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            yield _File(path)


def _import_file(path: Path) -> ModuleType:
    module_name = f"catnap_plugin_{path.stem}"
    package = path.is_dir()
    spec = importlib.util.spec_from_file_location(
        module_name,
        path / "__init__.py" if package else path,
        submodule_search_locations=[str(path)] if package else None,
    )
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # so that dataclasses and pickles in it find their module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    return module


def _checked(exposed: object, source: str) -> Plugin:
    """Make the plugin and see that it has what the contract asks for."""
    if not callable(exposed):
        raise PluginError(
            f"{ATTRIBUTE!r} of {source} is {exposed!r}; it must be the plugin's class, "
            "or a function without arguments that makes the plugin"
        )
    plugin: object = exposed()
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(f"the plugin of {source} is named {name!r}; a name looks like {NAME.pattern}")
    if name in Settings.model_fields:
        raise PluginError(f"the plugin name {name!r} ({source}) is taken by the server's own settings")
    model = getattr(plugin, "settings_model", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(
            f"plugin {name!r} ({source}): settings_model is {model!r}; it must be a pydantic model class"
        )
    for method in ("start", "shutdown"):
        if not callable(getattr(plugin, method, None)):
            raise PluginError(f"plugin {name!r} ({source}) has no method {method!r}")
    if isinstance(getattr(plugin, "depends_on", ()), str):
        raise PluginError(f"plugin {name!r} ({source}): depends_on is a string; it must be a list of names")
    return cast("Plugin", plugin)


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
