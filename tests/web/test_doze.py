"""Falling asleep: a page nobody looks at lets go of everything, and only a gesture brings it back."""

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import Browser, sign_in
from tests.web.room_server import RoomServer
from tests.web.test_connection import SEEN, sentence


def fallen_asleep(browser: Browser, room: RoomServer) -> tuple[Page, str]:
    """A page that was told to sleep while it was hidden, and is seen again."""
    page = browser.open(room.url, own_clock=True)
    session = sign_in(page)
    room.tell(session, "scaletozero/report", {"idle_after": 60})
    wait_until(lambda: room.said("scaletozero/visibility"), within=5, what="the page says that it is seen")
    page.evaluate(SEEN, False)
    wait_until(lambda: len(room.said("scaletozero/visibility")) == 2, within=5, what="and that it is hidden")
    assert [said["payload"] for said in room.said("scaletozero/visibility")] == [
        {"hidden": False},
        {"hidden": True},
    ]
    room.tell(session, "scaletozero/idle", {"hidden_for": 60})
    expect(page.get_by_role("heading", name="Asleep")).to_be_visible()
    wait_until(lambda: room.closed == [1000], within=5, what="the socket is closed")
    return page, session


def test_it_lets_go_of_everything_and_keeps_the_picture(browser: Browser, room: RoomServer) -> None:
    page, session = fallen_asleep(browser, room)
    wait_until(lambda: room.peers[session].connectionState == "closed", within=10, what="the peer is closed")
    expect(page.locator("#still")).to_be_visible()
    expect(page.locator("body")).to_have_class("dimmed")
    expect(page.locator("#notice-detail")).to_contain_text("press any key or click to wake it")
    assert room.posts == []


def test_nothing_but_a_gesture_wakes_it(browser: Browser, room: RoomServer) -> None:
    page, _ = fallen_asleep(browser, room)
    requests = len(browser.requests)
    page.evaluate(SEEN, True)
    page.evaluate("""() => {
        for (const name of ['online', 'pageshow', 'focus', 'resize']) dispatchEvent(new Event(name));
        document.dispatchEvent(new Event('resume'));
        dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
        dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}));
    }""")
    page.clock.run_for(600_000)
    page.mouse.move(300, 300)
    page.keyboard.press("Shift")
    assert len(browser.requests) == requests
    assert room.sockets == {}


@pytest.mark.parametrize("gesture", ["click", "key", "button"])
def test_the_first_gesture_wakes_it_and_is_not_input(
    browser: Browser, room: RoomServer, gesture: str
) -> None:
    page, session = fallen_asleep(browser, room)
    page.evaluate(SEEN, True)
    before = list(room.input)
    if gesture == "click":
        page.mouse.click(300, 300)
    elif gesture == "key":
        page.keyboard.press("a")
    else:
        page.get_by_role("button", name="Wake up").press("Enter")
    sentence(page, "Watching. Nobody is in control.")
    wait_until(lambda: session in room.sockets, within=5, what="it is connected")
    assert room.controller is None
    assert [message for message in room.input if message not in before and message[0] != 7] == []


def test_a_page_that_is_seen_does_not_obey(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.tell(session, "scaletozero/report", {"idle_after": 60})
    room.tell(session, "scaletozero/idle", {"hidden_for": 60})
    wait_until(lambda: len(room.said("scaletozero/visibility")) == 2, within=5, what="it says it is seen")
    sentence(page, "Watching. Nobody is in control.")
    assert room.closed == []


def test_a_hidden_page_without_connection_lets_go_by_itself(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url, own_clock=True)
    session = sign_in(page)
    room.tell(session, "scaletozero/report", {"idle_after": 60})
    wait_until(lambda: room.said("scaletozero/visibility"), within=5, what="the page says that it is seen")
    page.evaluate(SEEN, False)
    room.drop(session)
    sentence(page, "Reconnecting")
    page.clock.run_for(59_000)
    sentence(page, "Reconnecting")
    page.clock.run_for(1_100)
    expect(page.get_by_role("heading", name="Asleep")).to_be_visible()
    page.evaluate(SEEN, True)
    page.clock.run_for(60_000)
    assert session not in room.sockets
