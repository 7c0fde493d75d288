"""Why the machine is awake, as the page tells admins, while they look."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import PHONE, Browser, sign_in
from tests.web.room_server import RoomServer
from tests.web.test_pure import evaluate, page

__all__ = ["page"]

HOLD = {"kind": "session", "id": "ann-1", "label": "Ann", "age_seconds": 65.2, "seconds_left": None}
EVIDENCE: dict[str, Any] = {
    "summary": "Awake: 1 session is connected, 1 lease runs and it is pinned.",
    "holds": [
        HOLD,
        {**HOLD, "kind": "pin", "id": "pin", "label": "the command line", "age_seconds": 4000},
        {**HOLD, "kind": "lease", "id": "job", "label": "<b>export</b>", "seconds_left": 25.9},
    ],
    "last_write": {"command": "+", "result": "written", "at": "2026-01-02T03:04:05Z"},
    "last_error": None,
}
FAILING = {"message": "cannot open /gate: Is a directory", "retry_in_seconds": 3.4}


def open_list(page: Page) -> None:
    page.locator("#people-toggle").click()
    page.locator("#people-list li").first.wait_for()


def test_an_admin_reads_why(browser: Browser, room: RoomServer) -> None:
    room.evidence = EVIDENCE
    page = browser.open(room.url)
    sign_in(page, "admin Ann")
    assert room.evidence_asked == 0, "nobody looks"
    open_list(page)
    section = page.get_by_role("region", name="Why is it awake")
    expect(section.locator("#gate-summary")).to_have_text(EVIDENCE["summary"])
    expect(section.locator("li")).to_have_text(
        [
            "Ann is connected for 1 min",
            "Pinned by the command line for 1 h 6 min",
            "Lease job: <b>export</b> for 1 min, ends in 25 s",
        ]
    )
    assert "Last write: + at " in section.locator("#gate-file").inner_text()

    room.evidence = {**EVIDENCE, "summary": "Awake: it is pinned.", "holds": [], "last_error": FAILING}
    expect(section.locator("#gate-file")).to_have_text(
        "cannot open /gate: Is a directory. Tried again in 3 s.", timeout=15_000
    )
    expect(section.locator("li")).to_have_count(0)


def test_it_is_asked_only_while_somebody_looks(browser: Browser, room: RoomServer) -> None:
    room.evidence = EVIDENCE
    page = browser.open(room.url, own_clock=True)
    sign_in(page, "admin Ann")
    open_list(page)
    wait_until(lambda: room.evidence_asked == 1, within=10, what="the page asks")
    page.locator("#gate").wait_for()
    page.clock.run_for(5_000)
    wait_until(lambda: room.evidence_asked == 2, within=10, what="the page asks again")
    page.locator("#panel-close").click()
    page.wait_for_function("() => document.getElementById('panel').hidden")
    page.clock.run_for(9_000)
    page.evaluate("fetch('api/whoami')")
    assert room.evidence_asked == 2
    expect(page.locator("#gate")).to_be_hidden()


def test_others_neither_see_it_nor_ask(browser: Browser, room: RoomServer) -> None:
    room.evidence = EVIDENCE
    page = browser.open(room.url)
    sign_in(page, "Bob")
    open_list(page)
    page.evaluate("fetch('api/whoami')")
    expect(page.locator("#gate")).to_be_hidden()
    assert room.evidence_asked == 0


def test_a_server_without_a_gate_is_not_asked_for_it(browser: Browser, room: RoomServer) -> None:
    room.evidence = None
    page = browser.open(room.url, own_clock=True)
    sign_in(page, "admin Ann")
    open_list(page)
    wait_until(lambda: room.health_asked == 1, within=10, what="the page asks what there is")
    page.clock.run_for(9_000)
    page.evaluate("fetch('api/whoami')")
    assert (room.health_asked, room.evidence_asked) == (1, 0)
    expect(page.locator("#gate")).to_be_hidden()


def test_on_a_phone_the_list_and_the_reasons_fit(browser: Browser, room: RoomServer) -> None:
    holds = [{**HOLD, "kind": "lease", "id": "x" * 128, "label": "w" * 200} for _ in range(64)]
    room.evidence = {**EVIDENCE, "holds": holds}
    page = browser.open(room.url)
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    sign_in(page, "admin Ann")
    open_list(page)
    page.locator("#gate").wait_for()
    assert page.evaluate("document.getElementById('people').scrollWidth") <= PHONE["width"]
    for part in ("#people-list li", "#gate-file"):
        box = page.locator(part).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"], part


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (7260, "2 h 1 min")]
)
def test_durations(page: Page, seconds: float, text: str) -> None:
    assert evaluate(page, "evidence.js", "m.duration(a)", seconds) == text


@pytest.mark.parametrize(
    ("hold", "text"),
    [
        (HOLD, "Ann is connected"),
        ({**HOLD, "label": ""}, "ann-1 is connected"),
        ({**HOLD, "kind": "request", "label": "GET /api/stats"}, "Answering GET /api/stats"),
        ({**HOLD, "kind": "pin", "label": ""}, "Pinned"),
        ({**HOLD, "kind": "lease", "id": "job", "label": ""}, "Lease job"),
    ],
)
def test_holds_in_words(page: Page, hold: dict[str, Any], text: str) -> None:
    assert evaluate(page, "evidence.js", "m.describeHold(a).what", hold) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"last_write": None}, "Nothing written yet."),
        ({"last_error": FAILING}, "cannot open /gate: Is a directory. Tried again in 3 s."),
        (
            {"last_error": {**FAILING, "retry_in_seconds": None}},
            "cannot open /gate: Is a directory. Trying again now.",
        ),
    ],
)
def test_the_file_in_words(page: Page, changes: dict[str, Any], text: str) -> None:
    assert evaluate(page, "evidence.js", "m.describeFile(a)", {**EVIDENCE, **changes}) == text


def test_absence_in_words(page: Page) -> None:
    absent = {**EVIDENCE, "last_write": {**EVIDENCE["last_write"], "result": "absent"}}
    assert evaluate(page, "evidence.js", "m.describeFile(a)", absent).startswith("No control file at ")
