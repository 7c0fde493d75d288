"""What the page does when the connection ends: it says why, and comes back by itself when that is right."""

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import Browser, sign_in
from tests.web.room_server import RoomServer

SEEN = """(seen) => {
  Object.defineProperty(document, 'hidden', {get: () => !seen, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
"""Stands in for another tab in front, which a browser without windows does not have."""


def sentence(page: Page, text: str) -> None:
    expect(page.locator("#bar-sentence")).to_contain_text(text)


def forgive_refused_sockets(browser: Browser) -> None:
    browser.complaints[:] = [text for text in browser.complaints if "WebSocket connection" not in text]


def test_it_returns_after_the_server_closes(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.accepting = False
    room.drop(session)
    notice = page.get_by_role("region", name="Connection")
    expect(notice).to_contain_text("The server had an error.")
    expect(notice).to_contain_text("Try 1")
    expect(notice).to_contain_text("Try 2")
    expect(notice).to_contain_text("The server cannot be reached.")
    room.accepting = True
    sentence(page, "Watching. Nobody is in control.")
    expect(notice).to_be_hidden()
    forgive_refused_sockets(browser)


def test_the_picture_outlives_a_lost_socket(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    wait_until(
        lambda: room.sessions[session]["state"]["is_watching"], within=5, what="the server sees the viewer"
    )
    room.delay = 60
    room.drop(session)
    sentence(page, "Reconnecting")
    sentence(page, "Watching")
    wait_until(lambda: any(message[0] == 7 for message in room.input), within=5, what="the old path is tried")
    # Without an answer the page asks for a new picture after two seconds.
    wait_until(lambda: len(room.said("signal/request")) == 2, within=5, what="a new picture is asked for")


def test_it_returns_at_once_when_the_network_does(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url, own_clock=True)
    session = sign_in(page)
    room.drop(session)
    sentence(page, "Reconnecting")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    sentence(page, "Watching")


def test_silence_is_a_loss(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url, own_clock=True)
    sign_in(page)
    said = page.locator("#bar-sentence")
    for _ in range(80):  # in small steps: a moment later it would be back already
        page.clock.run_for(250)
        if said.inner_text() == "Reconnecting: the server fell silent.":
            break
    else:
        raise AssertionError(f"after 20 s of silence the page says {said.inner_text()!r}")
    page.clock.run_for(1_000)
    sentence(page, "Watching")


def test_a_hidden_page_sends_nothing_and_wakes_nobody(browser: Browser, room: RoomServer) -> None:
    room.settings["heartbeat_interval"] = 1
    page = browser.open(room.url, own_clock=True)
    session = sign_in(page)
    page.clock.run_for(1_100)
    wait_until(lambda: room.said("client/heartbeat"), within=5, what="a seen page says it is there")
    page.evaluate(SEEN, False)
    before = len(room.heard)
    page.clock.run_for(3_000)
    assert len(room.heard) == before
    room.drop(session)
    sentence(page, "Reconnecting")
    page.clock.run_for(60_000)
    assert session not in room.sockets
    page.evaluate(SEEN, True)
    sentence(page, "Watching")


@pytest.mark.parametrize(
    ("reason", "title", "action"),
    [
        ("connection replaced", "Opened elsewhere", "Use it here"),
        ("already connected", "Already open elsewhere", "Try again"),
        ("session disconnected", "You were disconnected", "Connect again"),
        ("profile changed", "What you may do has changed", "Connect again"),
        ("connection disabled", "You may not connect", None),
        ("session login disabled", "You may not sign in", None),
    ],
)
def test_an_end_says_why_and_what_to_do(
    browser: Browser, room: RoomServer, reason: str, title: str, action: str | None
) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.dismiss(session, reason)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    wait_until(lambda: session not in room.sockets, within=5, what="the page has left")
    button = page.locator("#notice-action")
    if action is None:
        expect(button).to_be_hidden()
        return
    expect(button).to_have_text(action)
    expect(button).to_be_focused()
    button.click()
    sentence(page, "Watching")


@pytest.mark.parametrize("reason", ["session deleted", "session not found", "no authentication provided"])
def test_an_ended_session_leads_to_the_form(browser: Browser, room: RoomServer, reason: str) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.dismiss(session, reason)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator("#sign-in-note")).to_contain_text("ign in")
    expect(page.get_by_label("Password")).to_be_focused()


def test_a_restart_of_the_server_is_waited_out(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.dismiss(session, "connection shutdown")
    sentence(page, "Reconnecting: the server is restarting.")
    sentence(page, "Watching")


def test_two_tabs_do_not_fight(browser: Browser, room: RoomServer) -> None:
    first = browser.open(room.url)
    session = sign_in(first)
    second = browser.open(room.url)
    sentence(second, "Watching")
    expect(first.get_by_role("heading", name="Opened elsewhere")).to_be_visible()
    sockets = len(room.closed)
    first.get_by_role("button", name="Use it here").click()
    sentence(first, "Watching")
    expect(second.get_by_role("heading", name="Opened elsewhere")).to_be_visible()
    wait_until(lambda: len(room.closed) == sockets + 1, within=5, what="the second has left")
    assert list(room.sockets) == [session]


def test_a_picture_that_does_not_come_is_explained(browser: Browser, room: RoomServer) -> None:
    room.giving_media = False
    page = browser.open(room.url, own_clock=True)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill("neko")
    page.get_by_role("button", name="Sign in").click()
    sentence(page, "Connecting: waiting for the picture.")
    page.clock.run_for(12_200)
    sentence(page, "the picture does not come through")
    room.giving_media = True
    room.add_person("Bob")
    expect(page.locator("#people-count")).to_have_text("2")
    page.clock.run_for(6_000)
    room.add_person("Cid")  # it must not seem silent meanwhile
    expect(page.locator("#people-count")).to_have_text("3")
    page.clock.run_for(6_200)
    sentence(page, "Watching")


def test_a_closed_media_connection_is_opened_again(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.tell(session, "signal/close")
    wait_until(lambda: len(room.said("signal/request")) == 2, within=5, what="a new picture is asked for")
    sentence(page, "Watching")


def test_a_private_room_says_so(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    room.update_settings(private_mode=True)
    expect(page.get_by_role("heading", name="The room is private")).to_be_visible()
    room.update_settings(private_mode=False)
    sentence(page, "Watching")
