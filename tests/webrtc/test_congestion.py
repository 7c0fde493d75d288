"""The choice of the quality on simulated networks, each for minutes of their time."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from streamserver.webrtc.congestion import LIMITED_FOR, PACE, Observation, RungChooser
from tests.webrtc.link import Link, simulate

BITRATES = (2_500_000, 1_000_000, 400_000)
FULL, MEDIUM, LOW = range(3)
PLENTY = 50e6


def step(low: float, first: float = 20, last: float = 35) -> Link:
    return Link(lambda t: low if first <= t < last else PLENTY)


@pytest.mark.parametrize("seed", range(3))
def test_a_step_down_and_up(seed: int) -> None:
    run = simulate(step(1.5e6), BITRATES, 60, seed)
    assert set(run.between(0, 20)) == {FULL}
    assert run.at(22.5) == MEDIUM
    assert run.share(MEDIUM, 20.5, 35) > 0.75
    assert set(run.between(45, 60)) == {FULL}, "full quality again within ten seconds"
    assert run.worst_outage(0, 60) < 1.0


def test_a_deep_step_goes_all_the_way_down_and_comes_back() -> None:
    run = simulate(step(0.6e6, last=45), BITRATES, 70)
    assert run.at(24) == LOW
    assert run.share(LOW, 22, 45) > 0.6
    assert FULL not in run.between(22, 45)
    assert set(run.between(55, 70)) == {FULL}


@pytest.mark.parametrize("seed", range(5))
def test_five_percent_lost_at_random_is_no_congestion(seed: int) -> None:
    run = simulate(Link(lambda _: PLENTY, loss=0.05), BITRATES, 180, seed)
    assert set(run.rungs) == {FULL}


@pytest.mark.parametrize("seed", range(5))
def test_jitter_is_no_queue(seed: int) -> None:
    run = simulate(Link(lambda _: PLENTY, delay=0.2, jitter=0.06), BITRATES, 180, seed)
    assert set(run.rungs) == {FULL}


def test_a_bloated_buffer_is_seen_by_the_round_trip() -> None:
    run = simulate(Link(lambda t: PLENTY if t < 10 else 1.5e6, queue=0.2), BITRATES, 90)
    assert run.at(13) == MEDIUM
    assert run.share(MEDIUM, 13, 90) > 0.8
    deep = simulate(Link(lambda t: PLENTY if t < 10 else 1.5e6, queue=2.0), BITRATES, 90)
    assert deep.share(MEDIUM, 13, 90) > 0.6
    assert deep.share(LOW, 13, 90) == 0, "while it runs empty nothing more is given up"


def test_trying_on_a_slow_link_becomes_rare() -> None:
    run = simulate(Link(lambda _: 1.5e6), BITRATES, 300)
    changes = [
        index * 0.02
        for index in range(1, len(run.rungs))
        if run.rungs[index] == FULL and run.rungs[index - 1] != FULL
    ]
    assert len([at for at in changes if at > 60]) <= 10
    assert run.share(MEDIUM, 60, 300) > 0.93


def cellular(seed: int) -> Link:
    """A phone on the move: capacity wanders between 0.3 and 8 Mbit/s and drops out for a moment at times."""
    chance = random.Random(seed)
    level, values = 3e6, []
    for _ in range(1200):  # a tenth of a second each
        level = min(max(level * chance.lognormvariate(0, 0.08), 0.3e6), 8e6)
        values.append(level if chance.random() > 0.01 else 0.05e6)
    return Link(lambda t: values[int(t * 10) % len(values)], queue=0.4, delay=0.07, jitter=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_a_phone_on_the_move_mostly_gets_what_its_link_can_take(seed: int) -> None:
    link = cellular(seed)
    run = simulate(link, BITRATES, 120, seed)
    fits = sum(
        rung is not None and BITRATES[rung] <= 1.1 * link.capacity(index * 0.02)
        for index, rung in enumerate(run.rungs)
    )
    assert fits / len(run.rungs) > 0.7
    best = sum(max([b for b in BITRATES if b <= link.capacity(t / 10)], default=0) for t in range(1200))
    got = sum(0 if rung is None else BITRATES[rung] for rung in run.rungs) / 5
    assert got > 0.7 * best, "and not much less than it could have"
    assert run.worst_outage(0, 120) < 1.5


def test_a_still_page_says_nothing_about_the_link() -> None:
    run = simulate(Link(lambda _: PLENTY, motion=lambda _: 0.015), BITRATES, 120)
    assert set(run.rungs) == {FULL}
    # then it moves: the receiver's estimate takes a minute to follow, which is no congestion
    moving = simulate(Link(lambda _: PLENTY, motion=lambda t: 0.015 if t % 40 < 20 else 1.0), BITRATES, 200)
    assert set(moving.rungs) == {FULL}


def test_a_viewer_that_cannot_take_the_lowest_is_paused_and_tried_again() -> None:
    run = simulate(step(0.15e6, 10, 60), BITRATES, 120)
    assert run.share(None, 20, 60) > 0.3
    assert None in run.between(10, 30)
    assert run.between(90, 120).count(FULL) == 1500, "all is well again"
    assert simulate(step(0.38e6, 10, 60), BITRATES, 120).rungs.count(None) == 0, "almost enough is enough"


def test_a_link_that_was_full_is_sent_to_in_small_bursts_for_a_while() -> None:
    chooser = RungChooser(BITRATES)
    assert chooser.update(0.0, Observation()).pace is None
    for tenth in range(1, 100):
        now = tenth / 10
        full = Observation(tenth * 30_000, tenth * 26, tenth * 10, tenth // 10, 0.4, 0.05, 0)
        decision = chooser.update(now, full)
        if decision.rung != FULL:
            break
    assert decision.rung is not None
    assert decision.pace == PACE * BITRATES[decision.rung]
    rested = chooser.update(now + LIMITED_FOR + 1, full)
    assert rested.pace is None


def test_one_quality_alone_is_kept() -> None:
    run = simulate(Link(lambda _: 1e6, queue=0.1), (2_500_000,), 20)
    assert set(run.rungs) <= {FULL, None}


def test_a_choice_of_the_viewers_is_where_the_search_goes_on() -> None:
    chooser = RungChooser(BITRATES)
    chooser.update(0.0, Observation())
    chooser.start_at(LOW, 1.0)
    assert chooser.update(1.1, Observation()).rung == LOW
    assert chooser.update(4.0, Observation()).rung == MEDIUM


TRACES = Path(__file__).parent / "traces"


def replay(name: str, *, with_trains: bool = False) -> list[tuple[float, int | None]]:
    """Feed what was known of a real Chromium at each tenth of a second; return the changes of quality.

    `with_trains`: whether trains of packets were sent when it was recorded.
    """
    chooser = RungChooser(BITRATES)
    decided: list[tuple[float, int | None]] = [(0.0, FULL)]
    for line in (TRACES / name).read_text().splitlines():
        entry = json.loads(line)
        at = entry.pop("at")
        entry.pop("video")
        decision = chooser.update(at, Observation(**entry))
        if decision.train and not with_trains:
            chooser.train_impossible(at)
        rung = decision.rung
        if rung != decided[-1][1]:
            decided.append((at, rung))
    return decided


def test_a_recorded_chromium_behind_a_link_that_becomes_slow_then_lossy_then_late() -> None:
    # by test_hard_network on a busy machine: 1.5 Mbit/s from 6 s on, free again before 16 s; then 5 % of the
    # packets lost, then 100 ms of delay
    decided = replay("chromium_step_loss_delay.jsonl")
    assert 6.0 < decided[1][0] < 8.0
    assert decided[1][1] == MEDIUM
    assert None not in [rung for _, rung in decided]
    assert FULL in [rung for at, rung in decided if 8 < at < 24]


def test_a_recorded_chromium_whose_link_is_tried_with_trains() -> None:
    # by test_hard_network on a machine with a load of 21: 1.5 Mbit/s from 5 s to 10 s
    decided = replay("chromium_step_trains.jsonl", with_trains=True)
    changes = [at for at, _ in decided[1:]]
    assert 5.0 < changes[0] < 6.5
    assert decided[-1][1] == FULL
    assert 10.0 < changes[-1] < 11.0, "at once when it is free again"
    assert FULL not in [rung for at, rung in decided if 5.5 < at < 10]
