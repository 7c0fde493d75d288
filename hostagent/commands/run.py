"""`catnap host run`: one command from nothing to an instance that sleeps and wakes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePath
from typing import cast

import click
from pydantic import JsonValue

from hostagent.api.wire import port_to_wire
from hostagent.client import AgentClient
from hostagent.commands.background import ensure_agent
from hostagent.commands.beginning import follow, hidden_files, introduction, tell_how_it_begins
from hostagent.commands.ports import parse_port
from hostagent.commands.serve_environment import environment_for, is_catnap_serve
from hostagent.commands.terminal import agent, as_json, print_json
from hostagent.durations import format_duration, parse_duration
from hostagent.errors import HostError
from hostagent.instances.model import PublishedPort
from hostagent.network.addressing import LINK_PREFIX
from hostagent.settings import load_settings


class _Port(click.ParamType[PublishedPort]):
    name = "[ADDRESS:]HOST:INSTANCE[/udp]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> PublishedPort:
        try:
            return value if isinstance(value, PublishedPort) else parse_port(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "-p",
    "--publish",
    "ports",
    multiple=True,
    type=_Port(),
    help="Publish a port of the instance, for this machine alone or at ADDRESS (0.0.0.0 is all).",
)
@click.option("-n", "--name", help="Its name; made from the command when absent.")
@click.option(
    "-e", "--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for the command."
)
@click.option(
    "--idle-timeout", type=_Duration(), help="How long nobody must be connected before it sleeps (10s)."
)
@click.option(
    "--level",
    type=click.Choice(["frozen", "reclaimed", "standby", "stopped"]),
    help="How deep it sleeps; absent: the deepest at which its process stays.",
)
@click.option(
    "--reclaim-after", type=_Duration(), help="How long it is frozen before its memory is given back."
)
@click.option(
    "--stop-after",
    type=_Duration(),
    help="How long it sleeps before it is stopped (and started by a packet).",
)
@click.option("--wake-objective", type=_Duration(), help="Sleep as deep as wakes are quicker than this.")
@click.option(
    "--open-connections",
    type=click.Choice(["hold", "sleep_when_silent"]),
    default="hold",
    help="Whether a connection that is open but silent keeps it awake.",
)
@click.option("--never-sleep", is_flag=True, help="Do not put it to sleep.")
@click.option("--user", help="An account to run as; absent: one of its own.")
@click.option("-d", "--detach", is_flag=True, help="Do not follow what happens.")
@as_json
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(
    run_dir: Path,
    ports: tuple[PublishedPort, ...],
    name: str | None,
    variables: tuple[str, ...],
    idle_timeout: float | None,
    level: str | None,
    reclaim_after: float | None,
    stop_after: float | None,
    wake_objective: float | None,
    open_connections: str,
    never_sleep: bool,
    user: str | None,
    detach: bool,
    json_output: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND as an instance: it sleeps while nobody is connected and wakes on the first packet.

    \b
    It has an address, a user and a home of its own, and outlives this command and the agent.
      catnap host run -p 8080 -- catnap serve --config config/neko.yaml
      catnap host run -p 0.0.0.0:8080 -p 0.0.0.0:59000/udp -- catnap serve --config config/neko.yaml
      catnap host run -p 80:8000 --idle-timeout 1m -- python3 -m http.server 8000

    For `catnap serve` it sets NEKO_SERVER_BIND, so that the page can be reached in the instance, and with a
    published UDP port NEKO_WEBRTC_NAT1TO1 to this host's addresses, unless you set them.
    """
    words = (_program(command[0]), *command[1:])
    for word in hidden_files(words[1:], Path.cwd()):
        click.echo(
            f"Warning: an instance has its own /tmp and /run, so {word} is not there: run this in the "
            "file's directory, or move it elsewhere",
            err=True,
        )
    given = _variables(variables)
    added = environment_for(words, ports, given, _host_addresses(ports))
    policy = _policy(
        idle_timeout,
        level,
        reclaim_after,
        stop_after,
        wake_objective,
        open_connections,
        never_sleep=never_sleep,
    )
    try:
        started = ensure_agent(run_dir)
    except HostError as error:
        raise click.ClickException(str(error)) from error
    with agent(run_dir) as client:
        since = _last_event(client)
        body: dict[str, JsonValue] = {
            "name": name or _free_name(client, words),
            "command": list(words),
            "env": cast("dict[str, JsonValue]", {**added, **given}),
            "ports": [port_to_wire(port) for port in ports],
            "working_directory": str(Path.cwd()),
            "auto_standby": policy,
        }
        if user is not None:
            body["user"] = user
        instance = cast("dict[str, JsonValue]", client.call("POST", "/instances", body))
        if json_output:
            print_json(instance)
            return
        if started:
            click.echo("An agent runs in the background now; `catnap host down` ends it.")
        tell_how_it_begins(client, instance, words)
        for line in introduction(instance, ports, words):
            click.echo(line)
        if not detach:
            follow(client, str(instance["name"]), str(instance["id"]), since)


def _last_event(client: AgentClient) -> int:
    inventory = cast("dict[str, JsonValue]", client.get("/inventory"))
    return int(cast("int", inventory["sequence"]))


def _policy(
    idle_timeout: float | None,
    level: str | None,
    reclaim_after: float | None,
    stop_after: float | None,
    wake_objective: float | None,
    open_connections: str,
    *,
    never_sleep: bool,
) -> dict[str, JsonValue]:
    if never_sleep:
        return {"enabled": False}
    if idle_timeout is None:
        idle_timeout = load_settings(None, os.environ).run.idle_timeout
    policy: dict[str, JsonValue] = {
        "enabled": True,
        "idle_timeout": format_duration(idle_timeout),
        "open_connections": open_connections,
    }
    durations = {"reclaim_after": reclaim_after, "stop_after": stop_after, "wake_objective": wake_objective}
    policy |= {key: format_duration(value) for key, value in durations.items() if value is not None}
    if level is not None:
        policy["level"] = level
    return policy


def _program(word: str) -> str:
    """Return the program as an absolute path: the agent runs elsewhere, with another PATH."""
    if "/" in word:
        return str(Path(word).absolute())
    beside = Path(sys.executable).parent / word
    found = shutil.which(word) or (str(beside) if beside.exists() else None)
    if found is None:
        raise click.ClickException(f"there is no program {word!r} in PATH or beside {sys.executable}")
    return str(Path(found).absolute())


def _variables(texts: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            if name not in os.environ:
                raise click.BadParameter(f"{name!r} has no value here; write {name}=VALUE")
            value = os.environ[name]
        given[name] = value
    return given


def _free_name(client: AgentClient, command: tuple[str, ...]) -> str:
    """Return a name like the command's that nobody has: `neko` for the streaming browser."""
    stem = "neko" if is_catnap_serve(command) else PurePath(command[0]).name.lower()
    stem = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:50] or "instance"
    taken = {str(one["name"]) for one in client.instances()}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 10_000))) if name not in taken)


def _host_addresses(ports: tuple[PublishedPort, ...]) -> list[str]:
    """Return the addresses viewers elsewhere reach this host at; read only where UDP is published."""
    if not any(port.protocol == "udp" for port in ports):
        return []
    named = [port.host_address for port in ports if port.protocol == "udp" and port.host_address]
    if named:
        return list(dict.fromkeys(named))
    answer = subprocess.run(
        ["ip", "-json", "address", "show", "up"], capture_output=True, check=False, text=True
    )
    found = ["127.0.0.1"]
    for link in json.loads(answer.stdout or "[]"):
        if link.get("ifname", "").startswith(("lo", LINK_PREFIX)):
            continue
        found += [one["local"] for one in link.get("addr_info", []) if one.get("scope") == "global"]
    return found
