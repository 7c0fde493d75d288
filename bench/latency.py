"""From a key press to the pixel that it changes, as a viewer's real headless Chromium sees it, at 60 fps.

A window on the server's screen changes the colour of a patch with each key. The viewer's page presses keys at
random moments and looks at one pixel of each frame that is shown (requestVideoFrameCallback). Sides, all on
the same screen: `ours` (the real server and its page); `packets`, stock aiortc, which is given the packets of
our capture; `pictures`, stock aiortc with its own encoder, given the newest picture 60 times a second; and
`selkies`. Rounds interleaved, each with a new browser; all at real-time priority, where allowed, so that
what else the machine does counts little. With --steps: ours alone, and where its time goes.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from bench import _latency_selkies
from bench._latency_steps import TRACE, steps
from bench._latency_viewer import Press, Stock, measure, watch_ours, watch_stock
from bench.fanout import calibration
from streamserver.desktop.account import lookup
from streamserver.desktop.x11 import XDisplay
from tests.e2e.running_server import RunningServer, running_server
from tests.e2e.viewer import person
from tests.network import CLONE_NEWNET

FPS, BITRATE = 60, 2500
CLONE_NEWNS = 0x00020000
OURS, PACKETS, PICTURES, SELKIES = "ours", "packets", "pictures", "selkies"
SETTINGS = {
    "desktop": {"screen": f"1280x720@{FPS}"},
    "capture": {"video": {"fps": FPS, "bitrate": BITRATE}},
    "webrtc": {"nat1to1": ["127.0.0.1"]},
}


def be_alone() -> None:
    """Move to a network of our own: loopback, and an interface with an address, which Selkies wants.

    An X server does not see which displays those of other networks have, so its socket is out of their reach.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS):
        reason = os.strerror(ctypes.get_errno())
        raise SystemExit(f"cannot make namespaces, run it as root: {reason}")
    for command in (
        "mount --make-rprivate /",
        "mkdir -p -m 1777 /tmp/.X11-unix",
        "mount -t tmpfs -o mode=1777 sockets /tmp/.X11-unix",
        "ip link set lo up",
        "ip link add cable type veth peer name nowhere",
        "ip addr add 10.9.8.1/24 dev cable",
        "ip link set nowhere up",
        "ip link set cable up",
        "ip route add default via 10.9.8.2 dev cable",
    ):
        subprocess.run(command.split(), check=True)


def go_first() -> bool:
    """Take real-time priority for ourselves and whatever we start; say whether we may."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


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


@contextmanager
def screen(launcher: Sequence[str] = ()) -> Iterator[tuple[RunningServer, XDisplay]]:
    """Run our server, whose screen all sides show."""
    with running_server(launcher, **SETTINGS) as server:
        display = dataclasses.replace(server.display, owner=lookup("catnap"))
        with window(display):
            yield server, display


async def press_at(side: str, server: RunningServer, display: XDisplay, count: int) -> list[Press]:
    """Watch one side in a fresh browser and press keys."""
    async with person() as tab:
        if side == OURS:
            return await measure(tab, await watch_ours(tab, server), count)
        if side == SELKIES:
            with _latency_selkies.selkies(display, FPS, BITRATE) as address:
                return await measure(tab, await _latency_selkies.watch(tab, address), count)
        with Stock(side, display) as stock:
            return await measure(tab, await watch_stock(tab, stock), count)


def figures(presses: Sequence[Press]) -> dict[str, float]:
    """Return what is known of some presses, ms; those whose pixel nobody saw count as endless."""
    times = sorted(one.seen - one.pressed if one.seen is not None else math.inf for one in presses)
    result = {
        "median": statistics.median(times),
        "p95": times[min(len(times) - 1, int(len(times) * 0.95))],
        "least": times[0],
    }
    shown = [(one, one.seen) for one in presses if one.seen is not None]
    if shown:
        result["until_received"] = statistics.median(one.received - one.pressed for one, _ in shown)
        result["received_until_shown"] = statistics.median(seen - one.received for one, seen in shown)
    return result


def line(side: str, result: dict[str, float], **more: int) -> str:
    """Return figures as JSON; null is what has no end."""
    rounded = {name: round(value, 2) if value < math.inf else None for name, value in result.items()}
    return json.dumps({"side": side} | more | rounded)


def report(rounds: dict[str, list[dict[str, float]]], *, real_time: bool) -> None:
    """Print the medians of the rounds' figures, and the ratio."""
    whole = {
        side: {name: statistics.median(one.get(name, math.inf) for one in some) for name in some[0]}
        for side, some in rounds.items()
        if some
    }
    for side, result in whole.items():
        click.echo(line(side, result, rounds=len(rounds[side])))
    ours = whole[OURS]
    ratios = {
        f"over_{side}": round(ours["median"] / result["median"], 4)
        for side, result in whole.items()
        if side != OURS
    }
    click.echo(json.dumps(ratios | {"p95_over_median": round(ours["p95"] / ours["median"], 2)}))
    machine = {"load": os.getloadavg(), "cpus": os.cpu_count(), "calibration_ms": calibration()}
    click.echo(json.dumps(machine | {"real_time": real_time}))
    click.echo(f"latency ratio {ratios[f'over_{PICTURES}']:.4f}")


async def compare(rounds: int, count: int, sides: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Press keys on every side in turns; return the figures of each round."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with screen() as (server, display):
        for number in range(rounds):
            for side in tuple(found):
                try:
                    result = figures(await press_at(side, server, display, count))
                except _latency_selkies.NoSelkiesError as error:
                    click.echo(json.dumps({SELKIES: None, "reason": str(error)}))
                    del found[SELKIES]
                    continue
                found[side].append(result)
                click.echo(line(side, result, round=number))
    return found


async def look_inside(rounds: int, count: int) -> None:
    """Press keys on our side, and print what each step takes."""
    with tempfile.TemporaryDirectory(prefix="catnap-bench-") as directory:
        trace = Path(directory) / "trace"
        os.environ[TRACE] = str(trace)
        ahead = time.time() - time.monotonic()
        with screen((sys.executable, "-m", "bench._latency_trace")) as (server, display):
            presses = [press for _ in range(rounds) for press in await press_at(OURS, server, display, count)]
        for step in steps(trace, presses, ahead):
            click.echo(json.dumps(step))
        click.echo(line(OURS, figures(presses)))


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="Rounds, interleaved.")
@click.option("--presses", default=24, show_default=True, help="Key presses of each side in each round.")
@click.option("--without-selkies", is_flag=True, help="Leave Selkies out.")
@click.option("--steps", "inside", is_flag=True, help="Ours alone, step by step.")
def main(rounds: int, presses: int, without_selkies: bool, inside: bool) -> None:
    """Measure, and print JSON lines and a ratio."""
    sides = [OURS, PACKETS, PICTURES]
    if not (without_selkies or inside):
        try:
            _latency_selkies.install()
            sides.append(SELKIES)
        except _latency_selkies.NoSelkiesError as error:
            click.echo(json.dumps({SELKIES: None, "reason": str(error)}))
    be_alone()
    real_time = go_first()
    if inside:
        asyncio.run(look_inside(rounds, presses))
    else:
        report(asyncio.run(compare(rounds, presses, sides)), real_time=real_time)


if __name__ == "__main__":
    main()
