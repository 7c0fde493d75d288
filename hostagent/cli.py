"""`catnap host`: the commands, each imported when it is used, so that `catnap --help` stays quick."""

import importlib
import os
from pathlib import Path

import click

COMMANDS = {
    "run": "Run a command as an instance that sleeps and wakes; starts the agent where none runs.",
    "ls": "List instances.",
    "logs": "Show what an instance printed.",
    "why": "Say why an instance is awake or asleep.",
    "events": "Show what happens, in plain words.",
    "standby": "Put an instance to sleep now.",
    "wake": "Wake an instance.",
    "stop": "End an instance's command; no packet starts it again.",
    "start": "Start an instance that is stopped.",
    "rm": "Remove instances and their directories.",
    "doctor": "Say what this machine can do, and what is missing.",
    "agent": "Run the agent in the foreground.",
    "down": "Stop everything and remove what the agent made on this machine.",
}
"""In the order help shows them."""


class _LazyGroup(click.Group):
    """Knows its commands' names and imports the module of the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hostagent.commands.{_module(cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _module(command: str) -> str:
    return {"run": "run", "agent": "agent", "doctor": "doctor", "down": "down"}.get(
        command, "showing" if command in ("ls", "logs", "why", "events") else "changing"
    )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: os.environ.get("CATNAP_HOST_RUN_DIR", "/run/catnap-host"),
    show_default="$CATNAP_HOST_RUN_DIR or /run/catnap-host",
    help="Where the agent's socket is.",
)
@click.pass_context
def host(ctx: click.Context, run_dir: Path) -> None:
    """Run instances that sleep while nobody is connected.

    An instance is a browser, or any service, with an address of its own. The first packet wakes it.

    \b
    Start here, as root:
      catnap host run -p 8080 -- catnap serve --config config/neko.yaml
    """
    ctx.obj = run_dir
