from __future__ import annotations

import pytest

from streamserver.webrtc.consent import EXPIRES_AFTER, FRESH_FOR, Consent, Freshness, StopDetector
from streamserver.webrtc.rate_limit import RateLimit


def test_silence_becomes_stale_and_then_expired() -> None:
    consent = Consent(100.0)
    assert consent.freshness(100 + FRESH_FOR - 0.1) is Freshness.FRESH
    assert consent.freshness(100 + FRESH_FOR) is Freshness.STALE
    assert consent.freshness(100 + EXPIRES_AFTER - 0.1) is Freshness.STALE
    assert consent.freshness(100 + EXPIRES_AFTER) is Freshness.EXPIRED
    consent.renew(129.0)
    assert consent.freshness(130.0) is Freshness.FRESH


def test_a_stop_of_our_own_is_noticed_and_forgiven() -> None:
    detector = StopDetector(0.0, 1000.0)
    consent = Consent(0.0)
    assert detector.tick(1.0, 1001.0) is None
    assert detector.tick(2.4, 1002.4) is None  # late, but no stop
    stop = detector.tick(62.4, 1062.4)
    assert stop is not None
    assert stop.seconds == pytest.approx(59)
    assert stop.counted == pytest.approx(59)
    assert consent.freshness(62.4) is Freshness.EXPIRED
    consent.forgive(stop.counted)
    assert consent.freshness(62.4) is Freshness.FRESH
    assert detector.tick(63.4, 1063.4) is None


def test_a_machine_that_slept_is_noticed_though_its_clock_stood_still() -> None:
    detector = StopDetector(0.0, 1000.0)
    stop = detector.tick(1.0, 1500.0)
    assert stop is not None
    assert stop.seconds == pytest.approx(499)
    assert stop.counted == 0


def test_a_wall_clock_that_is_set_back_is_no_stop() -> None:
    assert StopDetector(0.0, 1000.0).tick(1.0, 400.0) is None


def test_the_rate_limit_allows_a_burst_and_then_the_rate() -> None:
    limit = RateLimit(rate=10, burst=5, now=0.0)
    assert [limit.allow(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert limit.allow(0.1)
    assert not limit.allow(0.1)
    assert sum(limit.allow(100.0) for _ in range(50)) == 5


def test_the_rate_limit_survives_a_clock_that_goes_back() -> None:
    limit = RateLimit(rate=10, burst=1, now=5.0)
    assert limit.allow(5.0)
    assert not limit.allow(4.0)
    assert limit.allow(5.2)
