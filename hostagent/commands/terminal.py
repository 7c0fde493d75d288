"""What the commands share: the agent to talk to, refusals as one line, tables for people."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from hostagent.client import AgentClient, AgentError, NoAgentError

as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON, for programs.")


@contextlib.contextmanager
def agent(run_dir: Path) -> Iterator[AgentClient]:
    """Talk to the agent; a refusal ends the command with its message and status 1."""
    try:
        with AgentClient(run_dir / "agent.sock") as client:
            yield client
    except (AgentError, NoAgentError) as error:
        raise click.ClickException(str(error)) from error


def print_json(value: JsonValue) -> None:
    """Print a value for a program."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Print rows for a person; `nothing` when there is none."""
    if not rows:
        click.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def console() -> Console:
    """Return where tables go; wide when nobody sees it, so that programs get whole lines."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
