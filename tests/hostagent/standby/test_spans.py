"""What OpenTelemetry is told."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hostagent.standby import attempt, controller
from tests.hostagent.activity.flows import tcp
from tests.hostagent.standby.world import TIMEOUT, A, World


def test_resync_events_and_attempts_are_spans(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for module in (attempt, controller):
        monkeypatch.setattr(module, "tracer", provider.get_tracer("test"))
    world.add()
    world.start()
    world.open(tcp())
    world.cut(tcp())
    world.after(TIMEOUT + 1)
    told = [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]
    assert [name for name, _ in told] == [
        "AutoStandbyStartupResync",
        *["AutoStandbyHandleConntrackEvent"] * 3,
        "AutoStandbyStandbyAttempt",
    ]
    assert told[0][1] == {"status": "success"}
    assert [attributes["result"] for _, attributes in told[1:4]] == ["added", "removed", "ignored"]
    assert told[4][1] == {
        "instance": A,
        "level": "reclaimed",
        "generation": 1,
        "reason": "idle_timeout",
        "outcome": "success",
    }
