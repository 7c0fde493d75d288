"""What a person is told of a new instance: whether its service is up, where it is, and what happens to it."""

import os.path
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
from pydantic import JsonValue

from hostagent.client import AgentClient, AgentError, NoAgentError
from hostagent.commands.ports import THIS_MACHINE
from hostagent.commands.serve_environment import is_catnap_serve
from hostagent.commands.story import clock, seconds, tell
from hostagent.instances.model import PublishedPort

Wire = dict[str, JsonValue]

_UP_WITHIN = 20.0
"""Seconds that a service may take to listen on its published ports before we go on."""
_SETTLE = 1.0
"""Seconds that a command without published ports is watched for an early end."""
_LAST_LINES = 10
_RECONNECT = 1.0
"""Seconds until the stream of events is asked for again after the agent went away."""


def hidden_files(words: Sequence[str], here: Path) -> list[str]:
    """Return the words that name files of this host that an instance does not see: it has its own /tmp and
    /run, and of ours only the directory it is started in.
    """
    shown = len(here.parts) > 2
    hidden = []
    for word in words:
        _, _, value = word.rpartition("=")
        path = Path(os.path.normpath(here / value))
        own = path.parts[1:2] in (("tmp",), ("run",)) and not (shown and path.is_relative_to(here))
        if value and own and path.exists():
            hidden.append(value)
    return hidden


def tell_how_it_begins(client: AgentClient, instance: Wire, command: Sequence[str]) -> None:
    """Wait until the service listens, and say so if it does not; exits when the command ended early."""
    name, ports = str(instance["name"]), cast("list[Wire]", instance["ports"])
    click.echo(f"{name} starts: {' '.join(' '.join(command).split())[:100]}")
    within = _UP_WITHIN if ports else _SETTLE
    try:
        answer = client.get(f"/instances/{instance['id']}/listening", within=int(within))
    except KeyboardInterrupt:
        raise click.ClickException(f"{name} goes on. `catnap host rm {name}` removes it") from None
    told = cast("Wire", answer)
    if told["state"] == "Stopped":
        say_it_ended(client, name, told["exit_status"])
    for port in cast("list[Wire]", told["ports"]):
        said = f"{port['guest_port']}/{port['protocol']}"
        if not port["listening"]:
            click.echo(
                f"Warning: nothing listens on its port {said} after {seconds(within)}: it may need longer, "
                f"or use another port. `catnap host logs {name}` shows what it prints"
            )
        elif not port["reachable"]:
            click.echo(
                f"Warning: its port {said} listens on its own 127.0.0.1 alone, where nobody reaches it: an "
                "instance is a machine of its own. Have it listen on 0.0.0.0 or [::]"
            )


def say_it_ended(client: AgentClient, name: str, status: JsonValue) -> None:
    """Show what it printed last, and exit: 0 when the command did, else 1."""
    lines = [message.data for message in client.stream(f"/instances/{name}/logs", tail=_LAST_LINES)]
    said = f"{name}'s command ended by itself" + ("" if status is None else f" with status {status}")
    click.echo(said + (". It printed last:" if lines else ", and printed nothing."))
    for line in lines:
        click.echo(f"  {line}")
    click.echo(
        f"It is kept, stopped: `catnap host start {name}` tries again, `catnap host rm {name}` removes it."
    )
    raise SystemExit(0 if status == 0 else 1)


def follow(client: AgentClient, name: str, instance: str, since: int) -> None:
    """Tell what happens until Ctrl-C, its command's end or its removal; comes back when the agent does."""
    try:
        while True:
            try:
                for event in client.events(since):
                    since = int(cast("int", event["sequence"]))
                    if event.get("instance_id") not in (None, instance):
                        continue
                    if event["type"] == "exit":
                        say_it_ended(client, name, event.get("exit_status"))
                    if (sentence := tell(event)) is not None:
                        click.echo(f"{clock(str(event['time']))}  {sentence}")
                    if event["type"] == "delete":
                        return
            except (NoAgentError, AgentError):
                time.sleep(_RECONNECT)
    except KeyboardInterrupt:
        click.echo(
            f"\n{name} goes on. `catnap host events` follows again, `catnap host rm {name}` removes it."
        )


def introduction(
    instance: dict[str, JsonValue], ports: tuple[PublishedPort, ...], command: tuple[str, ...]
) -> list[str]:
    """Return what a newcomer is told: where it is, what it will do, how to be rid of it."""
    name, network = str(instance["name"]), cast("dict[str, JsonValue]", instance["network"])
    tcp = [port for port in ports if port.protocol == "tcp"]
    lines = [f"{name} runs at {_url(port)}" for port in tcp] or [
        f"{name} runs at {network['ip']} and [{network['ip6']}], which this host alone reaches"
    ]
    if tcp and all(port.host_address == THIS_MACHINE for port in ports):
        lines.append("(only this machine reaches it; `-p 0.0.0.0:HOST:INSTANCE` lets others in)")
    if is_catnap_serve(command):
        lines.append("(how to log in: `catnap logins` with the same configuration)")
        for port in ports:
            if port.protocol == "udp" and port.host_port != port.instance_port:
                lines.append(
                    f"(viewers are told the port {port.instance_port}, and {port.host_port} is published: "
                    f"publish {port.instance_port}/udp, or set webrtc.udpmux to {port.host_port})"
                )
    policy = cast("dict[str, JsonValue] | None", instance.get("auto_standby"))
    if policy is not None and policy.get("enabled"):
        idle = seconds(policy["idle_timeout"])
        lines.append(f"When nobody is connected for {idle} it falls asleep; the next packet wakes it.")
    else:
        lines.append("It does not sleep (no auto_standby policy).")
    lines.append(
        f"It goes on by itself: `catnap host rm {name}` removes it, `catnap host why {name}` explains it."
    )
    return lines


def _url(port: PublishedPort) -> str:
    host = "localhost" if port.host_address in (None, THIS_MACHINE) else port.host_address
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}" + ("" if port.host_port == 80 else f":{port.host_port}")
