"""From the click on "Sign in" to the first picture, over the same server and page on aioice's own ICE.

See the README beside this file.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click
import playwright.async_api
from pydantic import JsonValue

from bench.fanout import calibration
from bench.latency import go_first
from tests.e2e.page import Page
from tests.e2e.running_server import RunningServer, running_server
from tests.e2e.viewer import person
from tests.network import Namespace

MARKS = Path(__file__).with_name("_join_marks.js")
SHOWN = "data:text/html,<h1>A page</h1>" + "<p>that is read while somebody joins. " * 20
"""What the shared browser shows."""
STEPS = {
    "http": ("click", "login answered"),
    "websocket": ("login answered", "heard system/init"),
    "offer": ("heard system/init", "heard signal/provide"),
    "sdp": ("heard signal/provide", "sent signal/answer"),
    "ice": ("sent signal/answer", "ice connected"),
    "dtls": ("ice connected", "dtls connected"),
    "first_idr": ("dtls connected", "received"),
    "decode": ("received", "decoded"),
    "answer_to_first_frame": ("sent signal/answer", "decoded"),
    "click_to_first_frame": ("click", "decoded"),
    "click_to_shown": ("click", "shown"),
}
"""Each figure, and the marks it lies between; those from `http` to `decode` follow each other."""
LOGIN_ANSWERED = (
    "() => performance.getEntriesByType('resource').find(e => e.name.endsWith('api/login')).responseEnd"
)
QUIET = 0.4
"""Seconds before the click in which nothing happens."""
JOIN_DEADLINE = 30.0

Join = dict[str, float]
"""Milliseconds by name of the step."""


async def join(tab: playwright.async_api.Page, url: str) -> Join:
    """Open the page, sign in, wait for the picture, and leave."""
    page = await Page.open(tab, url)
    await tab.get_by_label("Your name").fill("Somebody")
    await tab.get_by_label("Password").fill("test-user")
    box = await tab.get_by_role("button", name="Sign in").bounding_box()
    assert box is not None, "the form is shown"
    await asyncio.sleep(QUIET)
    # by coordinates, and without a script in the page until the end: it would take part in what is measured
    async with tab.expect_console_message(lambda said: said.text == "joined", timeout=JOIN_DEADLINE * 1000):
        await tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    marks = await tab.evaluate("() => join.marks")
    marks["login answered"] = await tab.evaluate(LOGIN_ANSWERED)
    await page.press("Sign out")
    await page.reads("Sign in to watch")
    return {step: marks[end] - marks[begin] for step, (begin, end) in STEPS.items()}


def medians(joins: list[Join]) -> Join:
    """Return the median of each step."""
    return {step: round(statistics.median(one[step] for one in joins), 1) for step in STEPS}


async def measure(rounds: int, joins: int) -> dict[str, Join]:
    """Let one browser, on a host of its own, join both servers in turn; return the medians of the rounds."""
    async with AsyncExitStack() as stack:
        namespace = stack.enter_context(Namespace())

        def server(launcher: list[str], *, lite: bool) -> RunningServer:
            webrtc: JsonValue = {"udpmux": 0, "icelite": lite, "nat1to1": [namespace.gateway] if lite else []}
            return stack.enter_context(running_server(launcher, webrtc=webrtc, browser={"url": SHOWN}))

        stock = [sys.executable, "-m", "bench._stock_ice", namespace.gateway]
        servers = {"stock": server(stock, lite=False), "ours": server([], lite=True)}
        tab = await stack.enter_async_context(person(namespace=namespace))
        await tab.add_init_script(path=MARKS)
        results: dict[str, list[Join]] = {kind: [] for kind in servers}
        for number in range(rounds + 1):
            measured: dict[str, list[Join]] = {kind: [] for kind in servers}
            for _ in range(joins if number else 1):  # the first round warms everything up
                for kind, running in servers.items():
                    measured[kind].append(await join(tab, f"http://{namespace.gateway}:{running.port}/"))
            for kind, figures in measured.items():
                name = f"round {number}" if number else "first join of all"
                click.echo(json.dumps({"kind": kind, "round": name, "ms": medians(figures)}))
                if number:
                    results[kind].append(medians(figures))
    return {kind: medians(figures) for kind, figures in results.items()}


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="Rounds.")
@click.option("--joins", default=8, show_default=True, help="Joins to each server and round, in turn.")
def main(rounds: int, joins: int) -> None:
    """Measure, and print JSON lines and ratios."""
    real_time = go_first()
    results = asyncio.run(measure(rounds, joins))
    for kind, figures in results.items():
        click.echo(json.dumps({"kind": kind, "round": "median", "ms": figures}))
    machine = {"load": os.getloadavg(), "cpus": os.cpu_count(), "calibration_ms": calibration()}
    click.echo(json.dumps(machine | {"real_time": real_time}))

    def ratio(step: str) -> float:
        return results["ours"][step] / results["stock"][step]

    click.echo(
        json.dumps({"answer_to_first_frame_ratio": round(ratio("answer_to_first_frame"), 4), "aim": 0.75})
    )
    click.echo(f"join ratio {ratio('click_to_first_frame'):.4f}")


if __name__ == "__main__":
    main()
