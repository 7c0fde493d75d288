"""The whole story: a shared browser falls asleep when its viewer leaves, and is there when they come back."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.page import Page
from tests.e2e.playground import Playground
from tests.e2e.running_agent import CATNAP, RunningAgent
from tests.e2e.viewer import person
from tests.hostagent.own_host import require_own_network
from tests.hostagent.swap import swap_file
from tests.network import Namespace
from tests.waiting import until, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOM = "room"
IDLE = 2.0
"""Seconds without anybody until it sleeps."""
QUIET = 1.0
"""Seconds over which somebody who sleeps must use no CPU."""


@pytest.fixture
def swap() -> Iterator[str]:
    """Have swap, where the machine lets us; the answer where it does not, and then it sleeps less deep."""
    with ExitStack() as stack:
        try:
            stack.enter_context(swap_file())
            answer = ""
        except pytest.skip.Exception as skipped:
            answer = str(skipped)
        yield answer


def settings(url: str) -> dict[str, Any]:
    return {
        "desktop": {"screen": "1280x720@30", "max_screen": "1920x1080"},
        "browser": {"url": url},
        "member": {"multiuser": {"user_password": "test-user", "admin_password": "test-admin"}},
        "scaletozero": {"enabled": True, "cooldown": "1s"},
    }


def answers(url: str) -> bool:
    """Tell whether somebody listens there."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}health", timeout=5).status_code == 200
    return False


def gate(agent: RunningAgent) -> int | None:
    """Return the gate's counter as the agent sees it, by its evidence; None when nothing holds."""
    for evidence in agent.json("why", ROOM)["evidence"]:
        if evidence["kind"].startswith("gate"):
            return 1
    return None


async def test_it_sleeps_when_the_viewer_leaves_and_the_first_packet_wakes_it(
    swap: str, record_property: Any
) -> None:
    require_own_network()
    deepest = "frozen" if swap else "reclaimed"
    record_property("deepest level", f"{deepest} {swap}")
    with Namespace() as outside, Playground(outside.gateway) as playground, RunningAgent() as agent:
        config = agent.directory / "neko.yaml"
        config.write_text(yaml.safe_dump(settings(playground.url)))
        ports = ("-p", f"{outside.gateway}:8080:8080", "-p", f"{outside.gateway}:59000:59000/udp")
        agent.host(
            *("run", "--detach", "--name", ROOM, "--idle-timeout", f"{IDLE}s", *ports, "-e"),
            *(f"NEKO_WEBRTC_NAT1TO1={outside.gateway}", "--", str(CATNAP), "serve", "--config", str(config)),
        )
        url = f"http://{outside.gateway}:8080/"
        await until(lambda: answers(url), within=40, what="the streaming browser answers")
        async with person(namespace=outside) as tab:
            page = await Page.open(tab, url)
            await page.sign_in("ann", "test-user")
            await page.sees_picture(within=60)
            await until(lambda: playground.of("places"), within=30, what="the shared page is laid out")
            await page.take_control()
            await page.click_at(*playground.place("field"))
            await tab.keyboard.type("before ")
            await until(lambda: "before " in playground.of("typed"), within=20, what="it is typed")
            assert agent.level(ROOM) == "awake"
            assert gate(agent), "the streaming browser holds its gate while somebody watches"

            context = tab.context
            await tab.close()
            await until(lambda: agent.level(ROOM) == deepest, within=30, what=f"it is {deepest}")
            assert not gate(agent)
            assert all(process.is_running() for process in agent.processes())
            began = agent.cpu()
            slept = agent.instance(ROOM)
            with pytest.raises(AssertionError):
                wait_until(lambda: agent.cpu() != began, within=QUIET, what="it uses CPU", exactly=True)
            assert agent.instance(ROOM) == slept, "nothing woke it"

            tab = await context.new_page()
            page = await Page.open(tab, url)
            await page.sees_picture(within=30)
            assert agent.level(ROOM) == "awake"
            await page.take_control()
            await page.click_at(*playground.place("field"))
            await tab.keyboard.press("End")
            await tab.keyboard.type("and after")
            await until(lambda: "before and after" in playground.of("typed"), within=20, what="it goes on")
            assert len(playground.of("loaded")) == 1, "it is the same page"
        lines = agent.host("events", "--no-follow", "--since", "0", "--json").splitlines()
        woken = [event for event in map(json.loads, lines) if event["type"] == "restore"]
        assert woken[-1]["from_level"] == deepest
        assert f"packet from {outside.address}" in woken[-1]["reason"]
