"""Keeps the tables of `docs/configuration.md` as the models say.

python -m streamserver.config.reference          # rewrites the file's generated parts
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel

from streamserver.config.dump import table
from streamserver.config.loader import core_options, plugin_options
from streamserver.config.neko_keys import NOT_YET
from streamserver.config.options import Option
from streamserver.config.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
"""The page, in a checkout."""
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def update(page: str, models: Mapping[str, type[BaseModel]]) -> str:
    """Return the page with its generated parts replaced; `models` are the settings models of plugins."""
    parts = {"settings": settings_tables(models), "not_yet": not_yet_list()}
    return _PART.sub(lambda match: f"{match[1]}\n{parts[match[2]]}\n{match[3]}", page)


def settings_tables(models: Mapping[str, type[BaseModel]]) -> str:
    """Return a heading and a table for each section, those of plugins last."""
    options = [*core_options().values(), *plugin_options(models)]
    tables = []
    for section in dict.fromkeys(option.section for option in options):
        about = _about(section, models)
        title = f"### `{section}`" if section else "### General"
        tables.append(f"{title}\n\n{about}\n\n{table(_in_section(options, section))}")
    return "\n".join(tables)


def not_yet_list() -> str:
    """Return the list of neko's keys that do nothing yet."""
    lines = [f"- `{key}`" + (f": {instead}" if instead else "") for key, instead in NOT_YET.items()]
    return "\n".join(lines) + "\n"


def _in_section(options: Iterable[Option], section: str) -> list[Option]:
    return [option for option in options if option.section == section]


def _about(section: str, models: Mapping[str, type[BaseModel]]) -> str:
    model: object = models.get(section)
    if model is None and section in Settings.model_fields:
        model = Settings.model_fields[section].annotation
    return (inspect.getdoc(model) or "").splitlines()[0] if model else "For the whole server."


def main() -> None:
    """Rewrite the generated parts of the page."""
    from streamserver.config.settings import PluginsSettings
    from streamserver.plugins.manager import discover

    models = discover(PluginsSettings()).models()
    DOCUMENT.write_text(update(DOCUMENT.read_text(encoding="utf-8"), models), encoding="utf-8")


if __name__ == "__main__":
    main()
