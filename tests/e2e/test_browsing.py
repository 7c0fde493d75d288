"""People browse together: picture, mouse, keyboard, who is here, a lost network."""

import os
import random
import re
import signal
from collections.abc import Iterator

import httpx
import pytest

from streamserver.desktop.errors import DesktopError
from streamserver.desktop.x11 import XDisplay
from tests.network import Namespace
from tests.waiting import until

from .card import Card, ShownCard
from .page import Page
from .playground import Playground
from .protocol_client import login
from .running_server import RunningServer, running_server
from .viewer import person

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    """A page for the shared browser."""
    with Playground() as playground:
        yield playground


@pytest.fixture(scope="module")
def server(playground: Playground) -> Iterator[RunningServer]:
    """One server for the stories of this file, its browser on the playground."""
    with running_server(browser={"url": playground.url}) as server:
        yield server


async def test_the_picture_is_what_is_on_the_display(server: RunningServer) -> None:
    seed = random.randrange(1 << 32)
    print(f"card seed {seed}")
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("ann", "test-user")
        await page.sees_picture()
        card = Card.random(seed)
        with ShownCard(server.display, card):
            await page.sees_card(card)
        await page.sees_something_else(card)
        assert page.errors == []


async def test_typing_and_clicking_reach_the_shared_browser(
    server: RunningServer, playground: Playground
) -> None:
    await until(lambda: playground.of("places"), within=20, what="the shared browser shows its page")
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("ann", "test-user")
        await page.sees_picture()
        await page.take_control()
        await page.click_at(*playground.place("button"))
        await until(lambda: playground.of("clicked"), within=10, what="the button is pressed")
        await page.click_at(*playground.place("field"))
        await tab.keyboard.type("Hello, catnap! äöß €")
        await until(
            lambda: playground.of("typed")[-1:] == ["Hello, catnap! äöß €"],
            within=10,
            what="the text is in the field",
        )
        await tab.mouse.wheel(0, 300)
        await until(lambda: 1 in playground.of("wheel"), within=10, what="the wheel turns downwards")
        assert page.errors == []


async def test_the_sound_of_the_shared_browser_is_heard(
    server: RunningServer, playground: Playground
) -> None:
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("ann", "test-user")
        await page.sees_picture()
        await page.press("Turn sound on")
        await page.take_control()
        await page.click_at(*playground.place("field"))
        await page.hears(0)
        await tab.keyboard.press("F9")
        await until(lambda: playground.of("playing"), within=10, what="the page plays a tone")
        await page.hears(1000)


async def test_a_second_person_sees_the_same_and_is_seen(server: RunningServer) -> None:
    async with person() as ann_tab, person() as bob_tab:
        ann = await Page.open(ann_tab, server.url)
        await ann.sign_in("ann", "test-user")
        await ann.sees_picture()
        bob = await Page.open(bob_tab, server.url)
        await bob.sign_in("bob", "test-user")
        await bob.sees_picture()
        await ann.press("people here")
        await ann.reads("bob")
        await ann.take_control()
        await bob.reads("ann is in control")
        card = Card.random(7)
        with ShownCard(server.display, card):
            await ann.sees_card(card)
            await bob.sees_card(card)


async def test_a_wrong_password_is_refused_in_words(server: RunningServer) -> None:
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("eve", "wrong")
        await page.reads("password")
        assert server.lines("wrong") == []


async def test_a_lost_network_comes_back_by_itself(server: RunningServer) -> None:
    with Namespace() as namespace:
        async with person(namespace=namespace) as tab:
            page = await Page.open(tab, f"http://{namespace.gateway}:{server.port}/")
            await page.sign_in("ann", "test-user")
            await page.sees_picture()
            namespace.pull_cable()
            await page.reads("econnecting", within=30)
            namespace.plug_cable()
            await page.sees_picture(within=30)
            card = Card.random(11)
            with ShownCard(server.display, card):
                await page.sees_card(card)


def test_display_needs_its_cookie(server: RunningServer) -> None:
    stranger = XDisplay(server.display.name, None, None)
    with pytest.raises(DesktopError):
        stranger.connect()


def browser_pid(server: RunningServer) -> int:
    """The main process of the shared browser, from the log."""
    found = re.search(r"pid=(\d+)", server.lines("browser started")[-1])
    assert found
    return int(found[1])


async def test_a_crash_of_the_shared_browser_is_told_and_passes(
    server: RunningServer, playground: Playground
) -> None:
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("ann", "test-user")
        await page.sees_picture()
        loads = len(playground.of("loaded"))
        os.kill(browser_pid(server), signal.SIGKILL)
        await page.reads("The browser crashed")
        assert "signal=SIGKILL" in server.lines("the browser crashed")[-1]
        await until(lambda: len(playground.of("loaded")) > loads, within=30, what="the page is open again")
        await page.sees_picture()
        await page.reads("Nobody is in control")


async def test_the_picture_follows_a_new_screen_size_without_a_new_connection(server: RunningServer) -> None:
    async with person() as tab:
        page = await Page.open(tab, server.url)
        await page.sign_in("ann", "test-user")
        await page.sees_picture()
        connections = len(server.lines("WebRTC connection closed"))
        headers = {"Authorization": f"Bearer {login(server, 'root', 'test-admin')}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            for width, height in ((1600, 896), (640, 480), (1280, 720)):
                size = {"width": width, "height": height, "rate": 30}
                (await client.post("api/room/screen", json=size)).raise_for_status()
                await page.sees_size(width, height)
                assert (await client.get("api/room/screen")).json() == size
        card = Card.random(13)
        with ShownCard(server.display, card):
            await page.sees_card(card)
        assert len(server.lines("WebRTC connection closed")) == connections
        assert page.errors == []
