"""`ls`, `logs`, `why`, `events`: what there is and what happens."""

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click
from pydantic import JsonValue

from hostagent.commands.story import clock, seconds, tell
from hostagent.commands.terminal import agent, as_json, console, print_json, print_table

Wire = Mapping[str, JsonValue]


@click.command()
@as_json
@click.pass_obj
def ls(run_dir: Path, json_output: bool) -> None:
    """List instances."""
    with agent(run_dir) as client:
        instances = client.instances()
    if json_output:
        print_json(cast("JsonValue", instances))
        return
    rows = [
        (
            str(one["name"]),
            _state(one),
            str(one["level"]),
            ago(str(one["level_since"])),
            ", ".join(_port(port) for port in cast("list[Wire]", one["ports"])),
            str(cast("Wire", one["network"])["ip"]),
            _policy(cast("Wire | None", one.get("auto_standby"))),
            str(one["id"]),
        )
        for one in instances
    ]
    columns = ("NAME", "STATE", "LEVEL", "SINCE", "PORTS", "ADDRESS", "SLEEPS", "ID")
    print_table(columns, rows, "no instances; `catnap host run -- COMMAND` makes one")


@click.command()
@click.argument("instance")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", default=100, show_default=True, help="How many lines of what was.")
@click.pass_obj
def logs(run_dir: Path, instance: str, follow: bool, tail: int) -> None:
    """Show what INSTANCE printed."""
    with agent(run_dir) as client, contextlib.suppress(KeyboardInterrupt):
        for message in client.stream(
            f"/instances/{instance}/logs", tail=tail, follow="true" if follow else "false"
        ):
            click.echo(message.data)


@click.command()
@click.argument("instance")
@as_json
@click.pass_obj
def why(run_dir: Path, instance: str, json_output: bool) -> None:
    """Say why INSTANCE is awake or asleep, and what comes next."""
    with agent(run_dir) as client:
        told = cast("dict[str, JsonValue]", client.get(f"/instances/{instance}/why"))
    if json_output:
        print_json(told)
        return
    status = cast("Wire", told["auto_standby"])
    click.echo(f"{told['name']} is {told['level']} since {ago(str(told['level_since']))}.")
    click.echo(f"{status['status']}: {str(status['reason']).replace('_', ' ')}")
    for evidence in cast("list[Wire]", told["evidence"]):
        click.echo(f"  {evidence['kind']}: {evidence['detail']}")
    if "next_level" in told:
        when = (
            f" in {until(str(told['next_level_at']))}" if "next_level_at" in told else " once nobody uses it"
        )
        click.echo(f"Next: {told['next_level']}{when}.")
    events = cast("list[Wire]", told["events"])[-10:]
    if events:
        click.echo("Lately:")
    for event in events:
        click.echo(f"  {clock(str(event['time']))}  {tell(event) or event['type']}")


@click.command()
@click.option("--since", type=int, help="Begin after this event; 0 is everything that is kept.")
@click.option("--instance", help="Only of this one.")
@click.option("--no-follow", is_flag=True, help="End with the last event there is.")
@as_json
@click.pass_obj
def events(
    run_dir: Path, since: int | None, instance: str | None, no_follow: bool, json_output: bool
) -> None:
    """Show what happens to instances, in plain words."""
    parameters: dict[str, str | int] = {"follow": "false" if no_follow else "true"}
    if instance is not None:
        parameters["instance"] = instance
    with agent(run_dir) as client, contextlib.suppress(KeyboardInterrupt):
        for event in client.events(0 if no_follow and since is None else since, **parameters):
            if json_output:
                click.echo(json.dumps(event))
            elif (sentence := tell(event, with_name=True)) is not None:
                console().print(f"{clock(str(event['time']))}  {sentence}")


def _state(instance: Wire) -> str:
    status = instance.get("exit_status")
    return str(instance["state"]) + ("" if status is None else f" ({status})")


def _port(port: Wire) -> str:
    address = f"{port['host_address']}:" if "host_address" in port else ""
    suffix = "/udp" if port["protocol"] == "udp" else ""
    return f"{address}{port['host_port']}→{port['guest_port']}{suffix}"


def _policy(policy: Wire | None) -> str:
    if policy is None or not policy.get("enabled"):
        return "never"
    return f"after {seconds(policy['idle_timeout'])}"


def ago(stamp: str) -> str:
    """Return how long ago a time was: `3 min`."""
    return seconds(max(0.0, round(time.time() - _seconds(stamp))))


def until(stamp: str) -> str:
    """Return how long it is until a time."""
    return seconds(max(0.0, round(_seconds(stamp) - time.time(), 1)))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).astimezone(UTC).timestamp()
