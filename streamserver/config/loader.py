"""Making `Settings` of everything that was said: YAML file, then environment, then flags; the later wins."""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from streamserver.config.checks import find_conflicts, find_limits
from streamserver.config.errors import ConfigError
from streamserver.config.options import Kind, Option, options_of
from streamserver.config.settings import PluginsSettings, Settings
from streamserver.config.sources import Raw, Reading, read_environment, read_flags, read_yaml

PluginModels = Callable[[PluginsSettings], Mapping[str, type[BaseModel]]]
"""Given where plugins are, returns the settings model of each plugin by its name."""

ICE_SERVERS = "webrtc.iceservers"
"""neko's short form: one list for both `.frontend` and `.backend`, where these are not given."""

_SHOWN_LENGTH = 80

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Loaded:
    """Settings that are valid, what is worth a warning in the log, and where each value came from."""

    settings: Settings
    warnings: list[str]
    sources: Mapping[str, str] = field(default_factory=dict)
    """By dotted key, for the keys that are not at their default."""


def core_options() -> dict[str, Option]:
    """Return the settings of the server itself by dotted key, those of plugins not included."""
    options: dict[str, Option] = {}
    for option in options_of(Settings):
        if option.key == f"{ICE_SERVERS}.frontend":
            options[ICE_SERVERS] = dataclasses.replace(
                option,
                key=ICE_SERVERS,
                description="STUN and TURN servers, for viewers and the server alike.",
            )
        options[option.key] = option
    return options


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    plugin_models: PluginModels,
) -> Loaded:
    """Read and check the configuration.

    Args:
        path: the YAML file, or None for none.
        environ: environment variables; those that begin with `NEKO_` are looked at.
        flags: values by dotted key, as given on the command line.
        plugin_models: returns the settings models of plugins; called once, when it is known where they are.

    Raises:
        ConfigError: with every problem that was found, one sentence each.
    """
    text = _read_file(path) if path else ""
    name = str(path) if path else ""
    core = core_options()
    reserved = {option.path[0] for option in core.values()}
    first = _read(text, name, environ, flags, core)
    found = plugin_models(_plugins_settings(first))
    models = {plugin: model for plugin, model in found.items() if plugin not in reserved}
    options = core | {option.key: option for option in plugin_options(models)}
    open_sections = {plugin for plugin in models if models[plugin].model_config.get("extra") == "allow"}
    reading = _read(text, name, environ, flags, options, open_sections)
    problems = list(reading.problems)
    settings = _validate(Settings, "", reading, core, problems)
    plugin_settings = {
        plugin: valid
        for plugin, model in models.items()
        if (valid := _validate(model, f"{plugin}.", reading, options, problems)) is not None
    }
    if settings is not None:
        problems += find_conflicts(settings)
    if problems or settings is None:
        raise ConfigError(problems)
    settings = settings.model_copy(update={"plugin_settings": plugin_settings, "log": _log(settings)})
    sources = {key: raw.source for key, raw in reading.values.items()}
    warnings = reading.warnings + find_limits(settings)
    warnings += [
        f"the plugin {plugin} is not used: its name is a section of ours"
        for plugin in found
        if plugin in reserved
    ]
    return Loaded(settings, warnings, sources)


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: the configuration file is not UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: the configuration file cannot be read: {error.strerror}"]) from None


def _read(
    text: str,
    name: str,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    options: Mapping[str, Option],
    open_sections: Collection[str] = (),
) -> Reading:
    file = read_yaml(text, name, options, open_sections)
    environment = read_environment(environ, options, open_sections)
    reading = read_flags(flags, options, open_sections).over(environment.over(file))
    if short := reading.values.pop(ICE_SERVERS, None):
        both = (f"{ICE_SERVERS}.frontend", f"{ICE_SERVERS}.backend")
        if not any(key in reading.values for key in both):
            reading.values.update(dict.fromkeys(both, short))
    return reading


def _plugins_settings(reading: Reading) -> PluginsSettings:
    """Return where plugins are; the defaults when that is wrong, which is reported later with the rest."""
    try:
        return PluginsSettings.model_validate(_nested(reading.values, "plugins."))
    except ValidationError:
        return PluginsSettings()


def _validate(
    model: type[ModelT],
    prefix: str,
    reading: Reading,
    options: Mapping[str, Option],
    problems: list[str],
) -> ModelT | None:
    """Return the model made of the values under the prefix, or None with the problems appended."""
    ours = {
        key: raw
        for key, raw in reading.values.items()
        if (key.startswith(prefix) if prefix else key in options)
    }
    try:
        return model.model_validate(_nested(ours, prefix))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.append(_sentence(detail, prefix, ours, options))
        return None


def _nested(values: Mapping[str, Raw], prefix: str) -> dict[str, JsonValue]:
    tree: dict[str, JsonValue] = {}
    for key, raw in values.items():
        if not key.startswith(prefix):
            continue
        *sections, last = key.removeprefix(prefix).split(".")
        level = tree
        for section in sections:
            below = level.setdefault(section, {})
            assert isinstance(below, dict)
            level = below
        level[last] = raw.value
    return tree


def _sentence(
    detail: ErrorDetails, prefix: str, values: Mapping[str, Raw], options: Mapping[str, Option]
) -> str:
    """Say one of pydantic's errors in terms of keys: what was found where, and what is accepted."""
    parts = [*prefix.rstrip(".").split("."), *detail["loc"]] if prefix else [*detail["loc"]]
    length = next((n for n in range(len(parts), 0, -1) if ".".join(map(str, parts[:n])) in values), 0)
    if not length:  # a model's own check that no single value is to blame for
        return f"{'.'.join(map(str, parts))}: {detail['msg'].removeprefix('Value error, ')}"
    key = ".".join(map(str, parts[:length]))
    source = values[key].source
    if (option := options.get(key)) is None:
        return f"{source}: {key}: {detail['msg']}"
    place = key + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts[length:])
    accepted = f"; accepted: {option.form}"
    if detail["type"] == "missing":
        return f"{source}: {place} is missing{accepted}"
    if detail["type"] == "extra_forbidden":
        return f"{source}: {place} is not known there{accepted}"
    if option.secret:
        return f"{source}: {place} is wrong, its value is not shown{accepted}"
    reason = f" ({detail['ctx']['error']})" if detail["type"] == "value_error" else ""
    return f"{source}: {place} is {_shown(detail['input'])}{reason}{accepted}"


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _log(settings: Settings) -> BaseModel:
    """Return the log's settings with `debug` taken into account."""
    if settings.debug and settings.log.level != "trace":
        return settings.log.model_copy(update={"level": "debug"})
    return settings.log


def plugin_options(models: Mapping[str, type[BaseModel]]) -> Sequence[Option]:
    """Return the settings of plugins, for help and documentation."""
    return [option for name, model in models.items() for option in options_of(model, f"{name}.")]


__all__ = ["ICE_SERVERS", "Kind", "Loaded", "core_options", "load_settings", "plugin_options"]
