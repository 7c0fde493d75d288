"""`standby`, `wake`, `start`, `stop`, `rm`: what a person does with instances."""

from pathlib import Path
from typing import cast

import click
from pydantic import JsonValue

from hostagent.commands.terminal import agent, as_json, print_json


def _act(run_dir: Path, instance: str, action: str, body: JsonValue, said: str, *, json_output: bool) -> None:
    with agent(run_dir) as client:
        answer = cast("dict[str, JsonValue]", client.call("POST", f"/instances/{instance}/{action}", body))
    if json_output:
        print_json(answer)
    else:
        click.echo(f"{answer['name']} is {said.format(level=answer['level'])}")


@click.command()
@click.argument("instance")
@click.option(
    "--level",
    type=click.Choice(["frozen", "reclaimed", "standby", "stopped"]),
    help="How deep; absent: the deepest at which its process stays.",
)
@as_json
@click.pass_obj
def standby(run_dir: Path, instance: str, level: str | None, json_output: bool) -> None:
    """Put INSTANCE to sleep now, unless somebody uses it."""
    body: JsonValue = None if level is None else {"level": level}
    _act(run_dir, instance, "standby", body, "asleep ({level})", json_output=json_output)


@click.command()
@click.argument("instance")
@as_json
@click.pass_obj
def wake(run_dir: Path, instance: str, json_output: bool) -> None:
    """Wake INSTANCE; returns when it runs."""
    _act(run_dir, instance, "restore", None, "awake", json_output=json_output)


@click.command()
@click.argument("instance")
@as_json
@click.pass_obj
def start(run_dir: Path, instance: str, json_output: bool) -> None:
    """Start INSTANCE, which is stopped."""
    _act(run_dir, instance, "start", None, "started", json_output=json_output)


@click.command()
@click.argument("instance")
@as_json
@click.pass_obj
def stop(run_dir: Path, instance: str, json_output: bool) -> None:
    """End INSTANCE's command; no packet starts it again."""
    _act(run_dir, instance, "stop", None, "stopped", json_output=json_output)


@click.command()
@click.argument("instances", nargs=-1, required=True, metavar="INSTANCE...")
@click.pass_obj
def rm(run_dir: Path, instances: tuple[str, ...]) -> None:
    """Remove INSTANCEs and their directories."""
    with agent(run_dir) as client:
        for one in instances:
            client.call("DELETE", f"/instances/{one}")
            click.echo(f"{one} is removed")
