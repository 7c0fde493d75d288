"""A real Chromium with its sandbox, as a user that is not root, and a room for the page to live in."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests.web.room_server import PASSWORD, RoomServer

USER = "catnap"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE = 20_000
"""Milliseconds until a wait of the browser's driver is in vain."""


@pytest.fixture(scope="module")
def _playwright() -> Iterator[Playwright]:
    # For each module: while it lives, its event loop counts as running, and no asyncio test can start.
    with sync_playwright() as playwright:
        yield playwright


@dataclass
class Browser:
    """One Chromium for all tests; each page is cleaned of cookies before."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    own: set[str] = field(default_factory=set)

    def open(self, url: str, own_clock: bool = False) -> Page:
        """Open the page; with a clock of its own a test may let time pass in it."""
        page = self.context.new_page()
        page.on("console", lambda message: self.complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})
        if own_clock:
            page.clock.install()
        self.own.add(url.removeprefix("http://"))
        page.goto(url)
        return page

    def is_own(self, url: str) -> bool:
        """Whether an address is below one of the pages'; blob: and data: never leave the browser."""
        if url.startswith(("blob:", "data:")):
            return True
        return any(url.split("://", 1)[1].startswith(own) for own in self.own)

    def complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@pytest.fixture(scope="module")
def chromium(_playwright: Playwright) -> Iterator[BrowserContext]:
    home = Path(tempfile.mkdtemp(prefix="page-tests-"))
    arguments: list[str] = []
    launcher = home / "chromium"
    launcher.write_text(f'#!/bin/sh\nexec {as_user(home)} chromium "$@"\n')
    launcher.chmod(0o755)
    context = _playwright.chromium.launch_persistent_context(
        home / "profile",
        executable_path=launcher,
        headless=True,
        chromium_sandbox=True,
        args=arguments,
        color_scheme="light",
        viewport=None,
    )
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield context
    context.close()
    shutil.rmtree(home, ignore_errors=True)


def as_user(home: Path) -> str:
    """How to start a program as the desktop's user; Chromium refuses to keep its sandbox as root."""
    if os.geteuid() != 0:
        return ""
    account = pwd.getpwnam(USER)
    (home / "profile").mkdir()
    for path in (home, home / "profile"):
        os.chown(path, account.pw_uid, account.pw_gid)
    return f"env HOME={home} setpriv --reuid {USER} --regid {USER} --init-groups --"


@pytest.fixture
def browser(chromium: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The browser; afterwards no page may have complained or asked anybody but its own server."""
    if "room" in request.fixturenames:
        request.getfixturevalue("room")  # so that its pages close before it does
    chromium.clear_cookies()
    browser = Browser(chromium)
    before = set(chromium.pages)
    yield browser
    for page in set(chromium.pages) - before:
        page.close()
    assert browser.complaints == []
    assert not [url for url in browser.requests if not browser.is_own(url)]


@pytest.fixture
def room() -> Iterator[RoomServer]:
    server = RoomServer()
    server.start()
    yield server
    server.stop()


def sign_in(page: Page, name: str = "Ann") -> str:
    """Sign in by the form and wait for the picture; returns the session id."""
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#bar-sentence", has_text="Watching").wait_for()
    session: str = page.evaluate(
        "async () => (await (await fetch('api/whoami')).json()).id",
    )
    return session
