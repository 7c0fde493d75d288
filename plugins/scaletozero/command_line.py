"""`catnap scaletozero`: ask and pin a server on this machine, through its unix socket.

Only the standard library and click are loaded before a command runs, so that help is quick.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from plugins.scaletozero.control_client import NoAnswerError, ask
from plugins.scaletozero.status_text import render
from streamserver.redaction import escape_control

SETTING_FLAGS = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Settings are taken as flags too, as by `catnap serve`."""

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration the server runs with; found as by `catnap serve` when not given.",
)


@click.group(short_help="Why this machine is awake, and pinning it.")
def scaletozero() -> None:
    """Ask a running server why it keeps this machine awake, and pin or unpin it.

    Talks to the server through scaletozero.sock in server.run_dir, so it needs no password: whoever may open
    that file may pin. Give it the server's configuration (or --server.run_dir=DIR).
    """


@scaletozero.command(context_settings=SETTING_FLAGS)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as GET /scaletozero gives it.")
@click.pass_context
def status(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Say why the machine is awake, or what its sleep waits for."""
    evidence = _ask(ctx, config, "status")
    if as_json:
        click.echo(json.dumps(evidence, indent=2))
        return
    for line in render(evidence):
        click.echo(escape_control(line))


@scaletozero.command(context_settings=SETTING_FLAGS)
@config_option
@click.pass_context
def disable(ctx: click.Context, config: Path | None) -> None:
    """Pin: hold the machine awake until `enable`. A flag: doing it twice needs one `enable`."""
    click.echo(escape_control(_ask(ctx, config, "disable")["summary"]))


@scaletozero.command(context_settings=SETTING_FLAGS)
@config_option
@click.pass_context
def enable(ctx: click.Context, config: Path | None) -> None:
    """Unpin. Whatever else holds the machine awake goes on doing so."""
    click.echo(escape_control(_ask(ctx, config, "enable")["summary"]))


def _ask(ctx: click.Context, config: Path | None, wanted: str) -> dict[str, Any]:  # evidence, as JSON
    from streamserver.commands.configuration import load, parse_flags

    settings = load(config, parse_flags(ctx.args)).settings
    section = settings.plugin_settings.get("scaletozero")
    try:
        answer = ask(settings.server.run_dir, wanted)
    except NoAnswerError as error:
        off = section is not None and not getattr(section, "enabled", True)
        hint = " (in this configuration scaletozero.enabled is false)" if off else ""
        _fail(f"{error}{hint}")
    if "evidence" not in answer:
        _fail(str(answer.get("error", "the server gave no answer that can be understood")))
    evidence: dict[str, Any] = answer["evidence"]
    return evidence


def _fail(message: str) -> NoReturn:
    click.echo(escape_control(message), err=True)
    sys.exit(1)
