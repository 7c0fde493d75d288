"""Lag of the event loop with capture, encoder and 50 viewers in one process, over aiortc's pass-through.

Both sides capture the same screen, which is all motion 30 times a second (1280x720, 2.5 Mbit/s), and
encode it with the same parts; one sends it by our sender, the other by stock aiortc's, which is given the
encoded packets. The lag is how long what arrives waits for the event loop; its 95th percentile is
compared. Also printed: 100 viewers of ours, whose CPU should be within 0.6 of one core. The viewers, in
this process, authenticate and count. Medians of interleaved rounds.

Both servers and the screen get a core before the viewers, and these before everything else on the machine,
where we may say so (`real_time`): else the lag would be mostly how long they wait for one.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bench._light_viewer import Crowd
from bench.fanout import Measurement, Server, grow, measure

WIDTH, HEIGHT = 1280, 720
COMPARED, MANY = 50, 100
KINDS = (("pass_through", (COMPARED,)), ("ours", (COMPARED, MANY)))
VIEWERS, SERVERS = 10, 11
"""Priorities of real time, 1 to 99."""


@contextmanager
def first_served(priority: int) -> Iterator[bool]:
    """Let us, and what the block starts, have a core before all that have no priority; False: we may not."""
    usual = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *usual)


@contextmanager
def moving_screen() -> Iterator[str]:
    """Run it; gives the name of its display."""
    command = [sys.executable, "-m", "bench._moving_screen", str(WIDTH), str(HEIGHT)]
    with first_served(SERVERS):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def one_round(display: str, seconds: float) -> list[Measurement]:
    """Measure both sides."""
    results = []
    for kind, counts in KINDS:
        with first_served(SERVERS) as real_time:
            server = Server(kind, display)
        crowd = Crowd()
        try:
            for count in counts:
                grow(server, crowd, count)
                server.ask(do="lag")
                figures = measure(kind, server, crowd, seconds) | {"real_time": real_time}
                lag = server.ask(do="lag")
                figures |= {f"lag_ms_{name}": float(value) for name, value in lag.items()}
                results.append(figures)
                click.echo(json.dumps(figures))
        finally:
            crowd.disperse()
            server.close()
    return results


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="Rounds, interleaved.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each measurement.")
def main(rounds: int, seconds: float) -> None:
    """Measure, and print JSON lines and a ratio."""
    with first_served(VIEWERS), moving_screen() as display:
        results = [result for _ in range(rounds) for result in one_round(display, seconds)]

    def median(kind: str, viewers: int, figure: str) -> float:
        return statistics.median(
            float(result[figure])
            for result in results
            if (result["kind"], result["viewers"]) == (kind, viewers)
        )

    many = {"viewers": MANY, "cpu_percent": median("ours", MANY, "cpu_percent"), "aim": 60}
    click.echo(json.dumps(many))
    click.echo(json.dumps({"load": os.getloadavg(), "cpus": os.cpu_count(), "machine": platform.processor()}))
    ratio = median("ours", COMPARED, "lag_ms_p95") / median("pass_through", COMPARED, "lag_ms_p95")
    click.echo(f"live ratio {ratio:.4f}")


if __name__ == "__main__":
    main()
