"""The figures of the connection and their meaning, evaluated in the browser."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.test_pure import evaluate, page

__all__ = ["page"]

VIDEO: dict[str, Any] = {
    "id": "v", "type": "inbound-rtp", "kind": "video", "timestamp": 10_000, "bytesReceived": 1000,
    "packetsReceived": 100, "packetsLost": 2, "framesDecoded": 50, "framesDropped": 1,
    "jitterBufferDelay": 2.0, "jitterBufferEmittedCount": 50, "totalFreezesDuration": 0,
    "frameWidth": 1280, "frameHeight": 720, "codecId": "c",
}  # fmt: skip
AUDIO: dict[str, Any] = {
    "id": "a",
    "type": "inbound-rtp",
    "kind": "audio",
    "timestamp": 10_000,
    "bytesReceived": 500,
}
PAIR = {"type": "candidate-pair", "nominated": True, "state": "succeeded"}
OTHERS: list[dict[str, Any]] = [
    {"id": "c", "type": "codec", "mimeType": "video/H264"},
    {"id": "t", "type": "transport", "selectedCandidatePairId": "p2"},
    {
        "id": "p1",
        "type": "candidate-pair",
        "nominated": True,
        "state": "succeeded",
        "currentRoundTripTime": 9,
    },
    {
        "id": "p2",
        "type": "candidate-pair",
        "nominated": True,
        "state": "succeeded",
        "currentRoundTripTime": 0.02,
    },
]
COMPARE = "m.compare(m.look(a[0]), m.look(a[1]))"


def later(**changes: float) -> list[dict[str, Any]]:
    return [{**VIDEO, "timestamp": 12_000, **changes}, {**AUDIO, "bytesReceived": 1500}, *OTHERS]


def test_what_happened_between_two_looks(page: Page) -> None:
    now = later(
        bytesReceived=101_000, packetsReceived=180, packetsLost=22, framesDecoded=110, framesDropped=5,
        jitterBufferDelay=5.0, jitterBufferEmittedCount=110, totalFreezesDuration=0.5,
    )  # fmt: skip
    figures = evaluate(page, "figures.js", COMPARE, [[VIDEO, AUDIO, *OTHERS], now])
    assert figures == {
        "rate": 404_000, "loss": 0.2, "roundTrip": 0.02, "fps": 30, "dropped": 2, "buffer": 0.05,
        "frozen": 0.25, "width": 1280, "height": 720, "codec": "H264",
    }  # fmt: skip
    rows = dict(evaluate(page, "figures.js", "m.rows(a)", figures))
    assert rows == {
        "Rate": "404 kbit/s", "Lost packets": "20 %", "Round trip": "20 ms",
        "Frames decoded": "30 per second", "Frames dropped": "2 per second", "Jitter buffer": "50 ms",
        "Picture": "1280 × 720, H264",
    }  # fmt: skip


def test_nothing_is_said_of_another_connection_or_of_no_time(page: Page) -> None:
    assert evaluate(page, "figures.js", COMPARE, [[VIDEO], [VIDEO]]) is None
    assert evaluate(page, "figures.js", COMPARE, [[VIDEO], later(packetsReceived=3, framesDecoded=1)]) is None
    assert evaluate(page, "figures.js", "m.look(a)", [AUDIO, *OTHERS]) is None
    assert evaluate(page, "figures.js", "m.rows(null)") == []
    quiet = evaluate(
        page, "figures.js", COMPARE, [[VIDEO], [{**VIDEO, "timestamp": 12_000, "packetsLost": 0}]]
    )
    assert (quiet["loss"], quiet["buffer"], quiet["roundTrip"]) == (0, None, None)


GOOD = {"loss": 0.01, "roundTrip": 0.1, "buffer": 0.1, "frozen": 0, "fps": 0, "rate": 0}


@pytest.mark.parametrize(
    ("connected", "figures", "verdict", "words"),
    [
        (False, GOOD, "lost", "The connection is lost."),
        (True, None, "good", "The connection is good."),
        (True, GOOD, "good", "The connection is good."),
        (True, {**GOOD, "loss": 0.054}, "weak", "5.4 % of the picture's packets are lost."),
        (True, {**GOOD, "roundTrip": 0.45}, "weak", "It takes 450 ms there and back."),
        (True, {**GOOD, "frozen": 0.3}, "weak", "stands still"),
        (True, {**GOOD, "buffer": 0.8}, "weak", "held back 800 ms"),
    ],
)
def test_what_the_figures_mean(page: Page, connected: bool, figures: Any, verdict: str, words: str) -> None:
    script = "[m.judge(a[0], a[1]), m.sentence(m.judge(a[0], a[1]), a[1])]"
    found = evaluate(page, "figures.js", script, [connected, figures])
    assert found[0] == verdict
    assert words in found[1]


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (999_499, "999 kB"),
        (999_500, "1.0 MB"), (2e15, "2000 TB"),
    ],
)  # fmt: skip
def test_sizes_in_words(page: Page, bytes_: float, text: str) -> None:
    assert evaluate(page, "size.js", "m.size(a)", bytes_) == text


FINGERS = """(() => {
  const said = [];
  const point = ({x, y}) => [Math.round(x), Math.round(y)];
  const fingers = new m.Fingers({
    press: (at) => said.push(["press", ...point(at)]), move: (at) => said.push(["move", ...point(at)]),
    lift: (at) => said.push(["lift", ...point(at)]), scroll: (dx, dy) => said.push(["scroll", dx, dy]),
    pinch: (factor) => said.push(["pinch", Math.round(factor * 100)]), enlarged: () => a.enlarged ?? false});
  for (const [what, ...rest] of a.steps) {
    const [finger, x, y] = rest;
    fingers[what](finger, {x, y});
  }
  return said;
})()"""


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("d1,5,5 u1,5,5", "press,5,5 lift,5,5"),
        ("d1,5,5 m1,9,9 u1,9,9", "press,5,5 lift,9,9"),  # it trembled
        ("d1,5,5 rest cancel", "press,5,5 lift,5,5"),
        ("d1,5,5 cancel m1,90,90 u1,90,90", ""),
        # a second finger ends the dragging
        ("d1,0,0 m1,50,0 d2,99,0 u1,50,0 u2,99,0", "press,0,0 move,50,0 lift,50,0"),
        # two go down together; what one does after the other is gone is nothing
        ("d1,0,0 d2,50,0 m1,0,30 m2,50,30 m1,0,110 m2,50,110 u2,50,110 m1,0,300", "scroll,0,1 scroll,0,1"),
        # along the line between them, where each step looks like pinching
        ("d1,0,0 d2,50,0 m1,20,0 m2,70,0 m1,92,0 m2,142,0", "scroll,1,0 scroll,1,0"),
        ("d1,0,0 d2,100,0 m1,-5,0 m2,110,0 m1,-115,0", "pinch,225"),
        ("d1,0,0 d2,100,0 m2,145,0 m2,290,0 m2,145,0", "pinch,290 pinch,145"),  # one finger stands still
        ("d1,0,0 d2,50,0 d3,9,9 m1,0,99 u1,0,0 u2,0,0 u3,0,0", ""),
    ],
)  # fmt: skip
def test_what_fingers_mean(page: Page, steps: str, said: str) -> None:
    names = {"d": "down", "m": "moved", "u": "up"}
    parsed = [
        [names[step[0]], *map(int, step[1:].split(","))] if step[1].isdigit() else [step]
        for step in steps.split()
    ]
    found = evaluate(page, "fingers.js", FINGERS, {"steps": parsed})
    assert " ".join(",".join(map(str, one)) for one in found) == said


@pytest.mark.parametrize(
    ("zoom", "box", "after"),
    [
        ([1, 0, 0], [0, 60, 1280, 720], [1, 0, 0]),
        ([0.5, 9, 9], [0, 60, 1280, 720], [1, 0, 0]),
        ([2, -640, -400], [-640, -280, 2560, 1440], [2, -640, -400]),
        ([2, 500, 500], [0, 0, 2560, 1440], [2, 0, -120]),  # no further than its edges
        ([1.1, -20, 0], [-20, 8, 1408, 792], [1.1, -20, -58]),  # hardly larger than its place one way
        ([2, -9999, -9999], [-1280, -640, 2560, 1440], [2, -1280, -760]),
        ([99, 0, 0], [0, 0, 6400, 3600], [5, 0, -300]),
    ],
)
def test_the_enlarged_picture_covers_its_place(
    page: Page, zoom: list[float], box: list[float], after: list[float]
) -> None:
    script = """((r) => [Object.values(r.box), Object.values(r.zoom)])(
      m.enlarge({left: 0, top: 60, width: 1280, height: 720}, {width: 1280, height: 800},
                {scale: a[0], x: a[1], y: a[2]}))"""
    found = evaluate(page, "geometry.js", script, zoom)
    assert found == [pytest.approx(box), pytest.approx(after)]
