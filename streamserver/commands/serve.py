"""`catnap serve`: every setting is a flag."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import click

from streamserver.commands.configuration import SETTING_FLAGS, config_option, load, parse_flags, plugin_models
from streamserver.config import PluginsSettings, Settings
from streamserver.config.dump import dump_yaml
from streamserver.config.loader import core_options, plugin_options
from streamserver.config.options import Kind, Option

_METAVARS: Mapping[object, str] = {bool: "BOOL", int: "N", float: "N", Path: "PATH"}


class _ServeCommand(click.Command):
    """Takes `--any.setting=value`, and shows the settings by section in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options"):
            formatter.write_dl([record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))])
        for title, options in _sections():
            with formatter.section(title):
                formatter.write_dl([(_usage(option), _help(option)) for option in options])


@click.command(
    cls=_ServeCommand,
    context_settings={**SETTING_FLAGS, "max_content_width": 110},
    options_metavar="[--config FILE] [--SETTING=VALUE]...",
)
@config_option
@click.option("--print-config", is_flag=True, help="Print the settings in force, secrets masked, and exit.")
@click.pass_context
def serve(ctx: click.Context, config: Path | None, print_config: bool) -> None:
    """Run the streaming browser.

    Settings come from a YAML file, then from the environment, then from flags; the later wins. The key
    session.cookie.name is the flag --session.cookie.name=VALUE, the variable NEKO_SESSION_COOKIE_NAME, and
    in YAML `name` in `cookie` in `session`. Lists are separated by commas in a flag and by blanks in a
    variable; maps are JSON. A password does not belong in a flag: everybody on the machine can read it there.

    \b
    Examples:
      catnap serve --config config/neko.yaml
      catnap serve -c config/neko.yaml --server.bind=0.0.0.0:80 --desktop.screen=1920x1080@30
      NEKO_MEMBER_MULTIUSER_ADMIN_PASSWORD=… catnap serve --print-config
    """
    loaded = load(config, parse_flags(ctx.args))
    if print_config:
        for warning in loaded.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(dump_yaml(loaded), nl=False)
        return
    from streamserver.app import run

    sys.exit(run(loaded))


def _sections() -> Iterator[tuple[str, list[Option]]]:
    """Yield the sections with their settings, in the order of the models, then those of plugins."""
    options = [*core_options().values(), *plugin_options(plugin_models(PluginsSettings()))]
    for section in dict.fromkeys(option.section for option in options):
        field = Settings.model_fields.get(section)
        about = inspect.getdoc(field.annotation) if field and field.annotation else None
        title = f"{section} - {about.splitlines()[0].rstrip('.')}" if about else f"{section} (plugin)"
        yield title if section else "General", [option for option in options if option.section == section]


def _usage(option: Option) -> str:
    return f"--{option.key} {_metavar(option)}"


def _metavar(option: Option) -> str:
    if option.kind is Kind.LIST:
        return "A,B,…"
    if option.kind is Kind.STRUCTURE:
        return "JSON"
    if option.unit in ("duration", "size", "screen"):
        return {"duration": "TIME", "size": "BYTES", "screen": "WxH@RATE"}[option.unit]
    if choices := get_args(option.type):
        return "|".join(map(str, choices))
    return _METAVARS.get(option.type, "TEXT")


def _help(option: Option) -> str:
    default = f"  [{option.default_text}]" if option.default_text else ""
    return f"{option.description.replace('`', '')}{default}"
