"""`docs/host-agent.md` has every setting, route, event, metric and command."""

import re
from pathlib import Path

import click
import pytest
from fastapi.routing import APIRoute

from hostagent.api import agent_routes, instance_routes, standby_routes, stream_routes
from hostagent.cli import COMMANDS, host
from hostagent.instances.events import DESCRIPTIONS, EventType
from hostagent.instances.model import Level
from hostagent.settings import Option, options
from hostagent.standby.decision import Status

TREE = Path(__file__).parents[2]
PAGE = (TREE / "docs" / "host-agent.md").read_text(encoding="utf-8")
ROUTES = [
    (method, route.path)
    for module in (instance_routes, standby_routes, stream_routes, agent_routes)
    for route in module.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
METRICS = sorted(
    {
        name.replace("{name}", verb)
        for file in (TREE / "hostagent").rglob("*.py")
        for name in re.findall(r'"((?:hypeman|catnap_host)_[a-z_{}]+)"', file.read_text(encoding="utf-8"))
        for verb in ("create", "restore", "standby", "stop", "start")
    }
)


@pytest.mark.parametrize("option", list(options()), ids=lambda option: option.key)
def test_settings(option: Option) -> None:
    assert option.description, f"{option.key} has no docstring"
    row = f"| `{option.key}` | `{option.env}` | {option.default} | {option.description} |"
    assert row in PAGE, f"write: {row}"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_routes(method: str, path: str) -> None:
    assert f"| `{method} {path}` |" in PAGE


def test_there_are_no_other_routes_on_the_page() -> None:
    assert len(ROUTES) > 15
    assert set(re.findall(r"^\| `([A-Z]+) (/[^`]*)`", PAGE, re.MULTILINE)) == set(ROUTES)


@pytest.mark.parametrize("kind", list(EventType), ids=str)
def test_events(kind: EventType) -> None:
    assert f"| `{kind.value}` | {DESCRIPTIONS[kind]} |" in PAGE


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str) -> None:
    assert re.search(rf"`{name}(_total)?`", PAGE), name


@pytest.mark.parametrize("level", list(Level), ids=str)
def test_levels(level: Level) -> None:
    assert f"| `{level.value}` |" in PAGE


@pytest.mark.parametrize("name", list(COMMANDS))
def test_commands(name: str) -> None:
    command = host.get_command(click.Context(host), name)
    assert command is not None
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `catnap host {name}")]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for word in parameter.opts:
                assert f"`{word}`" in row, word


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_statuses(status: Status) -> None:
    assert f"| `{status.value}` |" in PAGE
