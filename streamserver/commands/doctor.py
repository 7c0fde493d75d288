"""`catnap doctor`."""

import dataclasses
import json
import sys
from pathlib import Path

import click

from streamserver.commands.configuration import SETTING_FLAGS, config_option, load, parse_flags


@click.command(
    context_settings=SETTING_FLAGS,
    options_metavar="[--config FILE] [--json] [--SETTING=VALUE]...",
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def doctor(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Check that this machine has what `catnap serve` needs, by really trying each part.

    Says for each part what was found and how to get what is missing. The exit status is 1 when something is
    missing without which it cannot run, and 2 when the configuration cannot be used.
    """
    loaded = load(config, parse_flags(ctx.args))
    from streamserver.doctor import State, examine
    from streamserver.doctor.finding import render

    findings = list(examine(loaded.settings))
    ready = all(finding.state is not State.MISSING for finding in findings)
    if as_json:
        parts = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"ready": ready, "parts": parts}, indent=2))
    else:
        click.echo(render(findings))
    sys.exit(0 if ready else 1)
