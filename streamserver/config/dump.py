"""Writing settings down: the effective ones as YAML, all there are as a table for the documentation."""

import json
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, SecretStr

from streamserver.config.loader import ICE_SERVERS, Loaded, core_options, plugin_options
from streamserver.config.options import Kind, Option
from streamserver.redaction import MASK


def dump_yaml(loaded: Loaded) -> str:
    """Return the effective settings as a YAML document; secrets are masked, sources stand in comments."""
    models = {name: type(model) for name, model in loaded.settings.plugin_settings.items()}
    lines: list[str] = []
    open_sections: tuple[str, ...] = ()
    for option in [*core_options().values(), *plugin_options(models)]:
        if option.key == ICE_SERVERS:
            continue
        *sections, name = option.path
        for depth, section in enumerate(sections):
            if open_sections[: depth + 1] != tuple(sections[: depth + 1]):
                lines.append(f"{'  ' * depth}{section}:")
        open_sections = tuple(sections)
        source = loaded.sources.get(option.key)
        comment = f"  # {source}" if source else ""
        lines.append(f"{'  ' * len(sections)}{name}: {_yaml(_value(loaded, option), option)}{comment}")
    return "\n".join(lines) + "\n"


def _value(loaded: Loaded, option: Option) -> object:
    first, *rest = option.path
    settings: BaseModel = loaded.settings
    plugin = loaded.settings.plugin_settings.get(first)
    steps = rest if plugin else [first, *rest]
    value: object = plugin or settings
    for step in steps:
        value = getattr(value, _attribute(value, step))
    return value


def _attribute(model: object, key: str) -> str:
    """Return the attribute that holds a key, which has another name where it has an alias."""
    assert isinstance(model, BaseModel)
    fields = type(model).model_fields
    return next((name for name, field in fields.items() if field.alias == key), key)


def _yaml(value: object, option: Option) -> str:
    """Return a value as JSON, which is YAML."""
    value = _masked(value)
    if option.kind is Kind.SCALAR and option.unit in ("duration", "size", "screen"):
        return json.dumps(option.text(value))
    return json.dumps(value, default=str, ensure_ascii=False)


def _masked(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: _masked(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value


def table(options: Iterable[Option]) -> str:
    """Return the Markdown table of these settings: key, variable, what it takes, default, what it does."""
    rows = ["| key | environment | value | default | |", "|---|---|---|---|---|"]
    for option in options:
        default = f"`{option.default_text}`" if option.default_text else "(empty)"
        if option.default_text and " " in option.default_text:
            default = option.default_text
        cells = (f"`{option.key}`", f"`{option.env}`", option.form, default, option.description)
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
