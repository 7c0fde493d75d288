"""The gate as the platform sees it: what the control file says while people come and go."""

import asyncio
import signal
import time

import pytest

from tests.network import Namespace
from tests.waiting import until

from .page import Page
from .protocol_client import login, receive, receive_event, socket
from .running_server import RunningServer, running_server
from .viewer import person

pytestmark = pytest.mark.e2e

COOLDOWN = 1.0
DISCONNECT_DELAY = 5.0
DETECTION = 20.0
"""Seconds the server may take to notice that a network is gone."""


async def stays(server: RunningServer, content: str, seconds: float) -> None:
    """Fail as soon as the control file says anything else within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.gate == content
        await asyncio.sleep(0.02)


async def test_gate_is_held_before_a_session_is_told_anything() -> None:
    with running_server() as server:
        assert server.gate == ""
        async with socket(server, login(server)) as connection:
            assert (await receive(connection))["event"] == "system/init"
            assert server.gate == "+"


async def test_gate_stays_held_while_a_session_is_replaced() -> None:
    with running_server() as server:
        token = login(server)
        async with socket(server, token) as old:
            await receive_event(old, "system/init")
            async with socket(server, token) as new:
                await receive_event(new, "system/init")
                replaced = await receive_event(old, "system/disconnect")
                assert replaced["payload"]["message"] == "connection replaced"
                await stays(server, "+", COOLDOWN + 1)
            await until(lambda: server.gate == "-", within=COOLDOWN + 3, what="the gate is released")
        assert len(server.lines("connection started, disabling scale-to-zero (pending: 1)")) >= 1
        assert not server.lines("(pending: 2)")


async def test_gate_follows_two_people_with_real_browsers() -> None:
    with running_server() as server:
        async with person() as ann_tab, person() as bob_tab:
            ann = await Page.open(ann_tab, server.url)
            await ann.sign_in("ann", "test-user")
            await ann.sees_picture()
            assert server.gate == "+"
            bob = await Page.open(bob_tab, server.url)
            await bob.sign_in("bob", "test-user")
            await bob.sees_picture()

            await ann_tab.reload()
            await ann.sees_picture()
            assert server.gate == "+"
            await ann_tab.close()
            await until(
                lambda: server.lines("connection ended, re-enabling scale-to-zero (pending: 1)"),
                within=10,
                what="the first departure is logged",
            )
            await stays(server, "+", COOLDOWN + 0.5)

            left = time.monotonic()
            await bob_tab.close()
            await until(lambda: server.gate == "-", within=COOLDOWN + 3, what="the gate is released")
            assert time.monotonic() - left >= COOLDOWN * 0.9
        assert server.lines("scale-to-zero plugin enabled")
        assert server.lines("connection started, disabling scale-to-zero (pending: 2)")
        assert server.lines("connection ended, re-enabling scale-to-zero (pending: 0)")


async def test_gate_waits_for_somebody_who_lost_the_network() -> None:
    with running_server() as server, Namespace() as namespace:
        async with person(namespace=namespace) as tab:
            page = await Page.open(tab, f"http://{namespace.gateway}:{server.port}/")
            await page.sign_in("ann", "test-user")
            await page.sees_picture()
            namespace.pull_cable()
            await stays(server, "+", DISCONNECT_DELAY + COOLDOWN)
            await until(
                lambda: server.gate == "-",
                within=DETECTION,
                what="the gate is released after the network was lost",
            )
            namespace.plug_cable()
            await page.sees_picture(within=30)
            assert server.gate == "+"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_gate_is_released_at_shutdown(number: signal.Signals) -> None:
    with running_server(scaletozero={"cooldown": "1h"}) as server:
        async with socket(server, login(server)) as connection:
            await receive_event(connection, "system/init")
            server.signal(number)
            goodbye = await receive_event(connection, "system/disconnect")
            assert goodbye["payload"]["message"] == "connection shutdown"
            assert server.gate == "-"
        assert server.wait() == 0
        assert server.gate == "-"
        assert server.lines("shutdown started, re-enabling scale-to-zero (pending: 1)")
