"""`catnap host agent`: the agent in the foreground."""

import os
from pathlib import Path

import click

from hostagent.errors import HostError
from hostagent.settings import load_settings


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    options_metavar="[OPTIONS] [--SETTING=VALUE]...",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML file with settings.",
)
@click.option("--recover", is_flag=True, help="Set a damaged journal aside and rebuild it, then start.")
@click.pass_context
def agent(ctx: click.Context, config: Path | None, recover: bool) -> None:
    """Run the agent until SIGTERM or SIGINT; instances stay as they are when it ends.

    Every setting of docs/host-agent.md is a flag, too: --standby.max_concurrent=4. Variables are
    CATNAP_HOST_STANDBY_MAX_CONCURRENT.
    """
    from hostagent.app import run_agent
    from hostagent.instances.journal import recover as recover_journal

    flags = {"run_dir": str(ctx.obj), **_flags(ctx.args)}
    try:
        settings = load_settings(config, os.environ, flags)
        if recover:
            aside, count = recover_journal(settings.journal, settings.data_dir / "instances")
            click.echo(f"the journal has {count} instances again; the damaged one is kept at {aside}")
        run_agent(settings)
    except HostError as error:
        raise click.ClickException(str(error)) from error


def _flags(words: list[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word in words:
        name, separator, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not separator:
            raise click.UsageError(f"{word!r} is no setting; write --SETTING=VALUE")
        flags[name] = value
    return flags
