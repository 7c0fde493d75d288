"""What subcommands share: finding and loading the configuration."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from pydantic import BaseModel

from streamserver.config import ConfigError, Loaded, PluginsSettings, load_settings
from streamserver.config.sources import CONFIG_VARIABLE
from streamserver.redaction import escape_control

DEFAULT_FILES = (Path("/etc/neko/neko.yaml"), Path("neko.yaml"))
"""Where a configuration file is looked for when none is named; it is fine if there is none."""
EXIT_CONFIG = 2
"""Exit status for a configuration that cannot be used."""

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"YAML file with settings. Else ${CONFIG_VARIABLE}, {', '.join(map(str, DEFAULT_FILES))}.",
)
"""`--config FILE`."""

SETTING_FLAGS = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Context settings of a command that takes every setting as a flag; see `parse_flags`."""


def load(config: Path | None, flags: Mapping[str, str]) -> Loaded:
    """Return the configuration; one that cannot be used ends the program with its problems on stderr."""
    try:
        return load_settings(_file(config), os.environ, flags, plugin_models)
    except ConfigError as error:
        click.echo("The configuration cannot be used:", err=True)
        for problem in error.problems:
            click.echo(f"  {escape_control(problem)}", err=True)
        sys.exit(EXIT_CONFIG)


def parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Return settings by key from `--key=value`, `--key value` or `--key` (true); `-d` is `--debug`.

    Raises:
        click.UsageError: for an argument that belongs to no flag.
    """
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "-d":
            argument = "--debug"
        if not argument.startswith("--") or argument == "--":
            raise click.UsageError(f"{argument!r} is not a flag; settings are given as --key=value")
        key, equals, value = argument[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        flags[key] = value
    return flags


def plugin_models(plugins: PluginsSettings) -> Mapping[str, type[BaseModel]]:
    """Return the settings models of the plugins that are installed."""
    from streamserver.plugins.manager import discover

    return discover(plugins).models()


def _file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next((path for path in DEFAULT_FILES if path.is_file()), None)
