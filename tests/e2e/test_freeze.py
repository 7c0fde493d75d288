"""The machine stops at any instruction and goes on much later: whoever stayed has the picture again at once.

Server, X, sound and the shared Chromium stand in a freezer; the viewers' browsers go on outside.
"""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator

import pytest

from tests.network import Namespace
from tests.waiting import until

from .cable import Tap
from .card import COLUMNS, ROWS, Card, ShownCard
from .freezer import Freezer, freezer
from .page import Page
from .playground import Playground
from .protocol_client import login, receive_event, socket
from .running_server import RunningServer, running_server
from .tabs import tabs
from .test_hidden import IDLE_AFTER, fall_asleep, sign_in, state_of, wake
from .viewer import person

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PROMISED = 1.0
"""Seconds after the thaw within which the picture is live again, on a machine that is not busy."""
DEADLINE = 8.0
"""Seconds it may take here: the machine that runs the tests may be busy. The figure is printed."""
QUIET = 60.0
"""Seconds in which a sleeping page sends nothing."""
GONE_WITHIN = 12.0
"""Seconds after the thaw within which somebody who left meanwhile is gone: the delay of a lost connection
(5 s) and what a busy machine adds."""

SHOWS = """([colours, columns, rows]) => {
    const video = document.querySelector('video');
    if (!video.videoWidth || video.paused || !video.checkVisibility()) return false;
    if (document.querySelector('#notice').checkVisibility()) return false;
    const canvas = document.createElement('canvas');
    canvas.width = columns * 4; canvas.height = rows * 4;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    colours.forEach((colour, index) => {
        const x = index % columns * 4 + 2, y = Math.floor(index / columns) * 4 + 2;
        const at = (y * canvas.width + x) * 4;
        for (let i = 0; i < 3; i++) sum += Math.abs(pixels[at + i] - (colour >> (16 - 8 * i) & 255));
    });
    return sum / (3 * colours.length) < 24;
}"""
"""Whether the live picture, with nothing over it, is the card; looks at one pixel in each block."""


@contextlib.asynccontextmanager
async def moving(page: Page) -> AsyncIterator[None]:
    """Move the mouse over the picture and hold on to it, all the time."""

    async def move() -> None:
        step = 0
        while True:
            step += 1
            await page.tab.mouse.move(200 + step * 7 % 600, 700 + step % 20)
            if step % 10 == 0:
                await page.tab.keyboard.press("ArrowRight")
            await asyncio.sleep(0.04)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def live_again(page: Page, server: RunningServer, thawed: float) -> float:
    """Return how long after the thaw the page shows what is on the display now."""
    card = Card.random(random.randrange(1 << 32))
    with ShownCard(server.display, card):
        while not await page.tab.evaluate(SHOWS, [list(card.colours), COLUMNS, ROWS]):
            if time.monotonic() - thawed > DEADLINE:
                sentence = await page.tab.locator("#bar-sentence").text_content()
                raise AssertionError(f"no live picture {DEADLINE} s after the thaw; it says {sentence!r}")
            await asyncio.sleep(0.01)
        return time.monotonic() - thawed


async def stopped(page: Page, server: RunningServer, group: Freezer, seconds: float) -> float:
    """Stop everything for that long, at a random moment while the mouse moves; see `live_again`."""
    async with moving(page):
        await asyncio.sleep(random.uniform(0.5, 1.5))
        group.freeze()
        await asyncio.sleep(seconds)
        thawed = group.thaw()
        assert server.gate == "+"
        took = await live_again(page, server, thawed)
    print(f"stopped for {seconds} s: live picture {took * 1000:.0f} ms after the thaw")
    assert server.gate == "+"
    return took


async def browser_lives(page: Page, playground: Playground, text: str) -> None:
    """Type into the shared browser; its page tells what arrived."""
    if not await page.tab.get_by_text("You are in control").first.is_visible():
        await page.tab.mouse.move(640, 2)
        await page.take_control()
    await page.click_at(*playground.place("button"))
    await page.click_at(*playground.place("field"))
    await page.tab.keyboard.type(text)
    await until(
        lambda: any(text in typed for typed in playground.of("typed")), within=15, what=f"{text!r} is typed"
    )


def is_quiet(log: str, stops: int) -> None:
    """Fail when the log has a traceback, an error, more than one line for a stop, or a flood."""
    assert "Traceback" not in log
    assert not re.findall(r"^.*\bERR\b.*$", log, re.MULTILINE)
    assert log.count("the server was stopped for a while") <= stops
    assert len(log.splitlines()) < 40 * (stops + 1), "a flood"


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param((1.0, 30.0), id="1s-30s"),
        pytest.param((300.0,), id="5min", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
async def test_after_a_stop_everything_goes_on(stops: tuple[float, ...]) -> None:
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f"seed {seed}")
    with freezer() as group, Playground() as playground, Namespace() as namespace:
        changes = {"browser": {"url": playground.url}, "server": {"idle_timeout": "1s"}}
        idle = {"idle_viewer_timeout": f"{IDLE_AFTER}s"}
        with running_server(group.launcher, scaletozero=idle, **changes) as server:
            async with person() as tab, tabs(namespace) as forgotten:
                page = await Page.open(tab, server.url)
                await page.sign_in("ann", "test-user")
                await page.sees_picture()
                await page.take_control()
                await sign_in(forgotten, server, namespace.gateway, "forgotten")
                await fall_asleep(forgotten)
                await asyncio.sleep(2)  # what the kernel and the last goodbyes still have to say
                began = len(server.log)
                with Tap(namespace) as cable:
                    until_quiet = time.monotonic() + QUIET
                    for seconds in stops:
                        async with socket(server, login(server, "cat")) as leaving:
                            await receive_event(leaving, "system/init")
                            task = asyncio.create_task(leave_meanwhile(leaving.transport, seconds / 2))
                            await stopped(page, server, group, seconds)
                            thawed = time.monotonic()
                            await task
                        await until(
                            lambda: not is_here(server, "cat"), within=GONE_WITHIN, what="who left is gone"
                        )
                        print(f"who left was gone {time.monotonic() - thawed:.1f} s after the thaw")
                        await browser_lives(page, playground, f"after {seconds:.0f} s")
                    is_quiet(server.log[began:], len(stops))
                    await asyncio.sleep(max(0.0, until_quiet - time.monotonic()))
                    assert cable.look() == []
                await wake(forgotten)
                assert server.gate == "+"
                assert page.errors == [] or all("WebSocket" in error for error in page.errors)
            await until(lambda: server.gate == "-", within=15, what="the gate is released when all have left")


async def leave_meanwhile(transport: asyncio.Transport, delay: float) -> None:
    """Go away without a word, after a while."""
    await asyncio.sleep(delay)
    transport.abort()


def is_here(server: RunningServer, name: str) -> bool:
    """Whether the session is connected, as an admin sees it."""
    return state_of(server, name)["is_connected"] is True
