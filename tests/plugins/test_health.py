"""Health probes."""

import pytest

from streamserver.plugins.health import HealthRegistry, HealthReport, HealthStatus


def test_the_worst_report_counts() -> None:
    registry = HealthRegistry()
    assert registry.overall(registry.check()) is HealthStatus.OK
    registry.register("good", lambda: HealthReport(HealthStatus.OK))
    registry.register("worse", lambda: HealthReport(HealthStatus.DEGRADED, "it is slow", {"seconds": 3}))
    reports = registry.check()
    assert registry.overall(reports) is HealthStatus.DEGRADED
    assert reports["worse"].to_wire() == {
        "status": "degraded",
        "summary": "it is slow",
        "details": {"seconds": 3},
    }


def test_a_probe_that_raises_counts_as_failed_and_hides_nobody() -> None:
    registry = HealthRegistry()

    def broken() -> HealthReport:
        raise RuntimeError("out of order")

    registry.register("broken", broken)
    registry.register("good", lambda: HealthReport(HealthStatus.OK))
    reports = registry.check()
    assert reports["broken"].status is HealthStatus.FAILED
    assert "out of order" in reports["broken"].summary
    assert reports["good"].status is HealthStatus.OK


def test_a_name_is_taken_until_it_is_given_back() -> None:
    registry = HealthRegistry()
    unregister = registry.register("gate", lambda: HealthReport(HealthStatus.OK))
    with pytest.raises(ValueError, match="'gate' exists already"):
        registry.register("gate", lambda: HealthReport(HealthStatus.OK))
    unregister()
    unregister()
    registry.register("gate", lambda: HealthReport(HealthStatus.FAILED))
    unregister()
    assert registry.check()["gate"].status is HealthStatus.FAILED
