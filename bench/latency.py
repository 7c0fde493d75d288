"""From a key press to the pixel that it changes, as a viewer's Chromium sees it."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from bench._latency_viewer import Press, Stock, measure, watch_ours, watch_stock
from streamserver.desktop.account import lookup
from streamserver.desktop.x11 import XDisplay
from tests.e2e.running_server import RunningServer, running_server
from tests.e2e.viewer import person
from tests.network import CLONE_NEWNET

FPS = 60
TRACE = "CATNAP_BENCH_TRACE"


def leave_the_machines_network() -> None:
    """Move to a network of our own: loopback, and an interface with an address."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise SystemExit(
            f"cannot make a network namespace ({os.strerror(ctypes.get_errno())}): run it as root"
        )
    for command in (
        "link set lo up",
        "link add cable type veth peer name nowhere",
        "addr add 10.9.8.1/24 dev cable",
        "link set nowhere up",
        "link set cable up",
        "route add default via 10.9.8.2 dev cable",
    ):
        subprocess.run(["ip", *command.split()], check=True)


@contextmanager
def window(display: XDisplay) -> Iterator[None]:
    """Show the application on the display."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._latency_window", display.name, str(display.xauthority)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "shown":
            raise SystemExit("the application's window was not shown")
        yield
    finally:
        process.stdin.close()
        process.wait()


async def press_at(side: str, server: RunningServer, display: XDisplay, count: int) -> list[Press]:
    """Watch one side in a fresh browser and press keys."""
    async with person() as tab:
        if side == "ours":
            return await measure(tab, await watch_ours(tab, server), count)
        with Stock(side, display) as stock:
            return await measure(tab, await watch_stock(tab, stock), count)


def figures(presses: Sequence[Press]) -> dict[str, float]:
    """Return what is known of some presses, ms; those that nobody saw count as endless."""
    times = sorted(one.seen - one.pressed if one.seen is not None else float("inf") for one in presses)
    result = {
        "n": len(times),
        "median": statistics.median(times),
        "p95": times[min(len(times) - 1, int(len(times) * 0.95))],
        "least": times[0],
    }
    arrived = [one for one in presses if one.received is not None and one.seen is not None]
    if arrived:
        result["until_received"] = statistics.median(one.received - one.pressed for one in arrived)  # type: ignore[operator]
        result["decoding"] = statistics.median(one.decoding or 0 for one in arrived)
        result["until_shown"] = statistics.median(
            one.seen - one.received - (one.decoding or 0)  # type: ignore[operator]
            for one in arrived
        )
    return {name: round(value, 2) for name, value in result.items()}


async def compare(rounds: int, count: int, sides: Sequence[str]) -> dict[str, list[Press]]:
    """Press keys on every side in turns."""
    found: dict[str, list[Press]] = {side: [] for side in sides}
    changes = {
        "desktop": {"screen": f"1280x720@{FPS}"},
        "capture": {"video": {"fps": FPS}},
        "webrtc": {"nat1to1": ["127.0.0.1"]},
    }
    launcher = (sys.executable, "-m", "bench._latency_trace") if os.environ.get(TRACE) else ()
    with running_server(launcher, **changes) as server:
        display = dataclasses.replace(server.display, owner=lookup("catnap"))
        with window(display):
            for number in range(rounds):
                for side in sides:
                    presses = await press_at(side, server, display, count)
                    found[side] += presses
                    click.echo(json.dumps({"side": side, "round": number} | figures(presses)))
    return found


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="Rounds, interleaved.")
@click.option("--presses", default=30, show_default=True, help="Key presses of each side in each round.")
@click.option("--sides", default="ours,packets,pictures", show_default=True, help="What to compare.")
def main(rounds: int, presses: int, sides: str) -> None:
    """Measure, and print JSON lines and a ratio."""
    leave_the_machines_network()
    found = asyncio.run(compare(rounds, presses, sides.split(",")))
    whole = {side: figures(some) for side, some in found.items()}
    for side, result in whole.items():
        click.echo(json.dumps({"side": side} | result))
    click.echo(json.dumps({"load": os.getloadavg(), "cpus": os.cpu_count(), "machine": platform.processor()}))
    if {"ours", "pictures"} <= whole.keys():
        click.echo(f"latency ratio {whole['ours']['median'] / whole['pictures']['median']:.4f}")


if __name__ == "__main__":
    main()
