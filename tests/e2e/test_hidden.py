"""A tab that nobody looks at: it lets go, sends nothing, and comes back when somebody touches it."""

import asyncio
import json
import random

import httpx
import pytest

from tests.network import Namespace
from tests.waiting import until

from .cable import Tap
from .card import COLUMNS, MEASURE, ROWS, Card, ShownCard
from .page import SAME
from .playground import Playground
from .protocol_client import login, receive_event, socket
from .running_server import RunningServer, running_server
from .tabs import Tabs, tabs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

IDLE_AFTER = 2.0
"""Seconds of `scaletozero.idle_viewer_timeout` in these tests."""
QUIET = 10.0
"""Seconds without a packet. The story in `test_freeze.py` takes 60: more than any timer of the page."""

WATCHING = """(() => {
    const video = document.querySelector('video');
    return video.videoWidth > 0 && !video.paused && !document.querySelector('#notice').checkVisibility();
})()"""
STILL = MEASURE.replace("'video'", "'#still'").replace("videoWidth", "width").replace("videoHeight", "height")


async def sign_in(tab: Tabs, server: RunningServer, host: str, name: str) -> None:
    """Open the page and watch."""
    await tab.go(f"http://{host}:{server.port}/")
    for selector, text in (("#username", name), ("#password", "test-user")):
        await tab.sees(f"document.querySelector('{selector}')?.checkVisibility()")
        await tab.evaluate(f"document.querySelector('{selector}').focus()")
        await tab.type(text)
    await tab.click_on("#sign-in-submit")
    await tab.sees(WATCHING, within=30)


async def fall_asleep(tab: Tabs) -> None:
    """Put another tab in front and wait until the page has let go."""
    await tab.hide()
    await tab.sees("document.body.dataset.phase === 'asleep'", within=IDLE_AFTER + 15)


async def wake(tab: Tabs) -> None:
    """Look at it again, which alone does nothing; then touch it."""
    await tab.show()
    await tab.click(300, 300)
    await tab.sees(WATCHING, within=30)


def state_of(server: RunningServer, name: str) -> dict[str, object]:
    """Return what an admin sees of a session."""
    headers = {"Authorization": f"Bearer {login(server, 'root', 'test-admin')}"}
    sessions = httpx.get(f"{server.url}api/sessions", headers=headers).json()
    state: dict[str, object] = next(s["state"] for s in sessions if s["profile"]["name"] == name)
    return state


async def test_a_hidden_tab_lets_go_stays_silent_and_returns_at_a_gesture() -> None:
    card = Card.random(seed := random.randrange(1 << 32))
    print(f"card seed {seed}")
    with Playground() as playground, Namespace() as namespace:
        settings = {"idle_viewer_timeout": f"{IDLE_AFTER}s"}
        with running_server(
            scaletozero=settings, browser={"url": playground.url}, server={"idle_timeout": "1s"}
        ) as server:
            async with tabs(namespace) as tab:
                await sign_in(tab, server, namespace.gateway, "ann")
                with ShownCard(server.display, card):
                    await tab.sees(f"({MEASURE})({json.dumps([card.colours, COLUMNS, ROWS])}) < {SAME}")
                    await fall_asleep(tab)
                assert await tab.evaluate(f"({STILL})({json.dumps([card.colours, COLUMNS, ROWS])})") < SAME
                notice = await tab.evaluate("document.querySelector('#notice').innerText")
                assert "Asleep" in notice
                assert await tab.evaluate("document.body.classList.contains('dimmed')")
                await until(lambda: server.gate == "-", within=10, what="the machine may sleep")
                assert server.lines("hidden viewer is asked to let go")
                assert state_of(server, "ann")["is_connected"] is False
                assert state_of(server, "ann")["is_watching"] is False
                await asyncio.sleep(2)  # what the kernel and the last goodbyes still have to say
                with Tap(namespace) as cable:
                    await asyncio.sleep(QUIET / 2)
                    await tab.show()
                    await asyncio.sleep(QUIET / 2)
                    assert cable.look() == []
                assert server.gate == "-"
                await wake(tab)
                assert server.gate == "+"
                assert playground.of("clicked") == []
                assert "Nobody is in control" in await tab.evaluate(
                    "document.querySelector('#bar-sentence').textContent"
                )


async def test_a_client_that_does_not_know_the_events_stays_connected() -> None:
    with running_server(scaletozero={"idle_viewer_timeout": "500ms"}) as server:
        async with socket(server, login(server)) as deaf, socket(server, login(server, "bob")) as stubborn:
            assert (await receive_event(deaf, "scaletozero/report"))["payload"] == {"idle_after": 0.5}
            await receive_event(stubborn, "scaletozero/report")
            await stubborn.send(json.dumps({"event": "scaletozero/visibility", "payload": {"hidden": True}}))
            told = await receive_event(stubborn, "scaletozero/idle")
            assert told["payload"]["hidden_for"] >= 0.5
            await asyncio.sleep(3)
            for connection in (deaf, stubborn):
                await asyncio.wait_for(await connection.ping(), 10)
            assert server.gate == "+"
            assert len(server.lines("hidden viewer is asked to let go")) == 1
