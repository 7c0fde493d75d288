"""The command `catnap`. Each subcommand is imported when it is used, so that `--version` is quick.

A plugin may bring one: a click command that an entry point of the group `catnap.commands` names.
"""

import importlib
import importlib.metadata

import click

COMMAND_GROUP = "catnap.commands"
"""Entry points of this group are subcommands; `--help` loads them for their line, so they load little."""

_COMMANDS = {
    "serve": "Run the streaming browser.",
    "doctor": "Check that this machine has what `serve` needs.",
    "logins": "Print where to open the page and how to log in.",
}
"""Subcommands in the order help shows them, with their line there; module and function have their names."""


class _LazyGroup(click.Group):
    """A group that knows its commands' names, and imports the module of the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *_of_plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"streamserver.commands.{cmd_name}")
            command: click.Command = getattr(module, cmd_name)
            return command
        entry = _of_plugins().get(cmd_name)
        return None if entry is None else _load(entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))
        if plugins := _of_plugins():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, _line(entry)) for name, entry in plugins.items()])


def _of_plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the subcommands that plugins bring, by name; ours go first."""
    entries = sorted(importlib.metadata.entry_points(group=COMMAND_GROUP), key=lambda entry: entry.name)
    return {entry.name: entry for entry in entries if entry.name not in _COMMANDS}


def _load(entry: importlib.metadata.EntryPoint) -> click.Command:
    """Import a plugin's subcommand; one that cannot be imported ends this call, not the others."""
    try:
        command = entry.load()
    except Exception as error:
        raise click.ClickException(
            f"the command {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"the command {entry.name!r} ({entry.value}) is no click command")
    return command


def _line(entry: importlib.metadata.EntryPoint) -> str:
    try:
        return _load(entry).get_short_help_str(limit=80)
    except click.ClickException as error:
        return error.message


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="catnap", prog_name="catnap", message="%(prog)s %(version)s")
def main() -> None:
    """A shared browser that people reach over WebRTC and that costs nothing while nobody uses it.

    \b
    Start here:
      catnap doctor                             what is missing on this machine, and how to get it
      catnap serve --config config/neko.yaml    run it, then open http://localhost:8080
      catnap serve --help                       every setting
    """
