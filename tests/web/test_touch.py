"""Fingers: one is the mouse, two scroll or enlarge, and a button brings up the on-screen keyboard."""

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.waiting import wait_until
from tests.web.conftest import Browser, sign_in
from tests.web.room_server import RoomServer
from tests.web.test_visit import BUTTON_DOWN, BUTTON_UP, KEY_DOWN, MOVE, SCROLL, inputs, sentence, spot

Point = tuple[float, float]


class Hand:
    """Fingers on the page, by the browser's own input."""

    def __init__(self, page: Page) -> None:
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
        self._cdp.send("Emulation.setEmitTouchEventsForMouse", {"enabled": False})

    def __call__(self, kind: str, *points: Point) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._cdp.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})

    def drag(self, start: list[Point], end: list[Point], steps: int = 10) -> None:
        """Put fingers down one after the other, move them together, lift them."""
        for count in range(1, len(start) + 1):
            self("Start", *start[:count])
        for step in range(1, steps + 1):
            part = step / steps
            self(
                "Move",
                *(
                    (a + (c - a) * part, b + (d - b) * part)
                    for (a, b), (c, d) in zip(start, end, strict=True)
                ),
            )
        self("End")


@pytest.fixture
def page(browser: Browser, room: RoomServer) -> Page:
    page = browser.open(room.url)
    sign_in(page)
    return page


def test_one_finger_is_the_mouse(page: Page, room: RoomServer) -> None:
    hand = Hand(page)
    hand("Start", spot(page, 600, 500))
    hand("End")
    sentence(page, "You are in control.")
    assert inputs(room, BUTTON_DOWN) == [], "the tap that takes control is not input"
    hand("Start", spot(page, 300, 400))
    hand("End")
    wait_until(lambda: page.evaluate("1") and inputs(room, BUTTON_UP), within=5, what="the tap arrives")
    assert inputs(room, MOVE, BUTTON_DOWN, BUTTON_UP)[-3:] == [
        (MOVE, 300, 400),
        (BUTTON_DOWN, 1),
        (BUTTON_UP, 1),
    ]
    room.input.clear()
    hand.drag([spot(page, 300, 400)], [spot(page, 700, 400)])
    wait_until(lambda: page.evaluate("1") and inputs(room, BUTTON_UP), within=5, what="the drag arrives")
    found = inputs(room, MOVE, BUTTON_DOWN, BUTTON_UP)
    assert found[0] in ((MOVE, 300, 400), (BUTTON_DOWN, 1))
    assert found[-2:] == [(MOVE, 700, 400), (BUTTON_UP, 1)]
    assert inputs(room, BUTTON_DOWN) == [(BUTTON_DOWN, 1)]


def test_two_fingers_scroll_and_press_nothing(page: Page, room: RoomServer) -> None:
    page.get_by_role("button", name="Take control").click()
    sentence(page, "You are in control.")
    (x, y), hand = spot(page, 600, 500), Hand(page)
    hand.drag([(x, y), (x + 60, y)], [(x, y - 200), (x + 60, y - 200)])
    wait_until(lambda: page.evaluate("1") and inputs(room, SCROLL), within=5, what="the scrolling arrives")
    scrolled = sum(message[2] for message in inputs(room, SCROLL))
    assert -6 <= scrolled <= -4, "fingers that go up show what is further down"
    assert inputs(room, BUTTON_DOWN) == []


def test_two_fingers_enlarge_the_picture_for_who_only_watches_too(page: Page, room: RoomServer) -> None:
    before = page.locator("#video").bounding_box()
    assert before is not None
    (x, y), hand = spot(page, 640, 360), Hand(page)
    hand.drag([(x - 40, y), (x + 40, y)], [(x - 100, y), (x + 100, y)])
    page.evaluate("new Promise(requestAnimationFrame)")
    after = page.locator("#video").bounding_box()
    assert after is not None
    assert 1.8 < after["width"] / before["width"] < 2.6
    assert abs(after["width"] / after["height"] - 16 / 9) < 0.01
    middle = (after["x"] + after["width"] / 2, after["y"] + after["height"] / 2)
    assert abs(middle[0] - x) < 45, "but for its edges, which stop it while it is hardly larger"
    assert abs(middle[1] - y) < 45
    sentence(page, "Watching. Nobody is in control.")
    # Now two fingers move it, as far as its edges.
    hand.drag([(x, y), (x + 60, y)], [(x + 2000, y), (x + 2060, y)])
    page.evaluate("new Promise(requestAnimationFrame)")
    moved = page.locator("#video").bounding_box()
    assert moved is not None
    assert moved["x"] == 0
    page.get_by_role("button", name="Take control").click()
    sentence(page, "You are in control.")
    page.mouse.click(1, moved["y"] + moved["height"] / 2)
    wait_until(lambda: page.evaluate("1") and inputs(room, MOVE), within=5, what="the mouse arrives")
    assert inputs(room, MOVE)[-1][1] < 3, "the pixel under the mouse, enlarged too"
    page.mouse.move(640, 0)
    page.get_by_role("button", name="people here").click()
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("button", name="Show the whole picture").click()
    page.get_by_role("button", name="Close the side panel").click()
    page.evaluate("new Promise(requestAnimationFrame)")
    whole = page.locator("#video").bounding_box()
    assert whole is not None
    assert (whole["x"], whole["width"], whole["height"]) == (before["x"], before["width"], before["height"])


def test_a_button_brings_up_the_on_screen_keyboard(page: Page, room: RoomServer) -> None:
    Hand(page)
    page.emulate_media()
    page.evaluate("matchMedia = () => ({matches: true})")  # this browser has a mouse as well
    page.get_by_role("button", name="Take control").click()
    sentence(page, "You are in control.")
    keys = page.get_by_role("button", name="On-screen keyboard")
    page.mouse.move(640, 0)
    page.locator("#keyboard").blur()
    keys.click()
    expect(page.locator("#keyboard")).to_be_focused()
    expect(keys).to_have_attribute("aria-pressed", "true")
    page.keyboard.insert_text("h")
    wait_until(lambda: page.evaluate("1") and inputs(room, KEY_DOWN), within=5, what="the key arrives")
    keys.click()
    expect(page.locator("#keyboard")).not_to_be_focused()
