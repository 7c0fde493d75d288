"""The documentation has every event and every metric."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from streamserver.sessions.stats import register_metrics
from streamserver.websocket.metrics import CLIENT_EVENTS, SERVER_EVENTS, WebSocketMetrics
from streamserver.websocket.peer import CLOSE_CODES
from tests.sessions.doubles import make_manager

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("heading", "events"), [("From the client", CLIENT_EVENTS), ("From the server", SERVER_EVENTS)]
)
def test_the_tables_have_every_event_and_no_other(heading: str, events: frozenset[str]) -> None:
    text = (DOCS / "websocket.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)) == events


def test_close_codes_are_documented() -> None:
    text = (DOCS / "websocket.md").read_text(encoding="utf-8")
    for reason, code in CLOSE_CODES.items():
        assert re.search(rf"^\| `{reason}` .*\| {code} \|$", text, re.MULTILINE)


def test_metrics_are_documented() -> None:
    registry = CollectorRegistry()
    WebSocketMetrics(registry)
    register_metrics(registry, make_manager().list)
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in text
