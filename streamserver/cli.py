"""The command `catnap`. Each subcommand is imported when it is used, so that `--version` is quick."""

import importlib

import click

_COMMANDS = {
    "serve": "Run the streaming browser.",
    "doctor": "Check that this machine has what `serve` needs.",
    "logins": "Print where to open the page and how to log in.",
}
"""Subcommands in the order help shows them, with their line there; module and function have their names."""


class _LazyGroup(click.Group):
    """A group that knows its commands' names, and imports the module of the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"streamserver.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


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
