"""What operators read names everything there is."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from plugins.scaletozero.commands import WriteResult
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import HoldKind
from plugins.scaletozero.metrics import GateMetrics
from plugins.scaletozero.settings import ScaleToZeroSettings
from plugins.scaletozero.snapshot import Gate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaletozero.md").read_text()
LOGGED = re.compile(r"log\.(?:info|warning|error)\(\s*((?:f?\"[^\"]*\"\s*)+)")


def metric_names() -> list[str]:
    registry = CollectorRegistry()
    GateMetrics(registry, lambda: GateState(cooldown=1).snapshot(0))
    return [metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()]


def log_lines() -> list[str]:
    found: list[str] = []
    for source in (ROOT / "plugins" / "scaletozero").glob("*.py"):
        for literal in LOGGED.findall(source.read_text()):
            found.append("".join(re.findall(r"\"([^\"]*)\"", literal)))
    return found


@pytest.mark.parametrize("name", list(ScaleToZeroSettings.model_fields))
def test_every_setting_is_explained(name: str) -> None:
    assert f"`scaletozero.{name}`" in PAGE


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_is_explained(name: str) -> None:
    assert f"`{name}" in PAGE


@pytest.mark.parametrize("word", [*Gate, *HoldKind, *WriteResult])
def test_every_word_an_operator_meets_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE


INTERNAL = {
    "control file did not close",
    "control file writer broke",
    "write observer failed",
}


def test_every_log_line_is_explained() -> None:
    lines = log_lines()
    assert len(lines) > 8
    missing = [line for line in lines if line not in PAGE and line not in INTERNAL]
    assert missing == []


@pytest.mark.parametrize(
    "event",
    ["connection started, disabling", "connection ended, re-enabling", "shutdown started, re-enabling"],
)
def test_the_lines_people_look_for_are_explained(event: str) -> None:
    assert f"`{event} scale-to-zero (pending: N)`" in PAGE
