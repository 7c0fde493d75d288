"""CPU per viewer of our fan-out, over that of aiortc's packet pass-through.

Ours: the real manager and peers send one pre-encoded 720p30 stream of 2.5 Mbit/s to 1, 10, 50 and 200
viewers, with all that a session has: RTCP, history for lost packets, pacing. Two baselines, stock aiortc:
`pass_through` sends the same encoded frames in payloads of the same size to 50 viewers; `encode_per_viewer`
has a track that returns pictures, which it encodes for its one viewer. Each server is a process of its own,
whose user and system time is measured; the viewers, in this process, authenticate every packet. Traffic is on
loopback. Medians of interleaved rounds.

CPU is scaled to 30 frames a second delivered: on a busy machine all deliver less, which must not look like
being cheap.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import click

from bench._light_viewer import Crowd

COUNTS = (1, 10, 50, 200)
COMPARED = 50
KINDS = (("encode_per_viewer", (1,)), ("pass_through", (COMPARED,)), ("ours", COUNTS))
FRAME_RATE = 30
SETTLE_SECONDS = 1.0
SERVER_QUIT_SECONDS = 10.0

Measurement = dict[str, float | int | str]


class Server:
    """A server process; it speaks JSON lines (see `bench._fanout_server`)."""

    def __init__(self, kind: str, display: str = "") -> None:
        arguments = [kind, display] if display else [kind]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._fanout_server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[str] = self._process.stdin
        self._from: IO[str] = self._process.stdout

    def ask(self, **request: object) -> dict[str, str]:
        """Send one request and return the answer."""
        self._to.write(json.dumps(request) + "\n")
        self._to.flush()
        line = self._from.readline()
        if not line:
            raise RuntimeError(
                f"the server ended with {self._process.wait()} while asked for {request['do']}"
            )
        answer: dict[str, str] = json.loads(line)
        return answer

    def cpu(self) -> float:
        """Return the CPU time it has used so far, user and system, in seconds."""
        return float(self.ask(do="cpu")["seconds"])

    def close(self) -> None:
        """End it."""
        self._to.close()
        try:
            self._process.wait(SERVER_QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def grow(server: Server, crowd: Crowd, count: int) -> None:
    """Connect viewers until there are `count`, and let things settle."""
    while len(crowd.viewers) < count:
        name = str(len(crowd.viewers))
        viewer = crowd.join(server.ask(do="offer", viewer=name)["sdp"])
        server.ask(do="answer", viewer=name, sdp=viewer.answer)
        crowd.live(0.01)
    crowd.wait_connected()
    crowd.live(SETTLE_SECONDS)


def measure(kind: str, server: Server, crowd: Crowd, seconds: float) -> Measurement:
    """Return what the server used and the viewers got in that time."""
    for viewer in crowd.viewers:
        viewer.packets = viewer.bytes = viewer.frames = viewer.rejected = viewer.lost = 0
    began, cpu = time.monotonic(), server.cpu()
    crowd.live(seconds)
    used, elapsed = server.cpu() - cpu, time.monotonic() - began
    count = len(crowd.viewers)
    packets = [viewer.packets for viewer in crowd.viewers]
    frames = sum(viewer.frames for viewer in crowd.viewers) / elapsed / count
    return {
        "kind": kind,
        "viewers": count,
        "cpu_percent": round(100 * used / elapsed, 2),
        "cpu_percent_per_viewer": round(100 * used / elapsed / count * FRAME_RATE / frames, 3),
        "packets_per_second": round(sum(packets) / elapsed),
        "packets_least": min(packets),
        "packets_most": max(packets),
        "mbit_per_second_per_viewer": round(
            sum(v.bytes for v in crowd.viewers) * 8 / elapsed / count / 1e6, 2
        ),
        "frames_per_second": round(frames, 1),
        "lost": sum(v.lost for v in crowd.viewers),
        "rejected": sum(v.rejected for v in crowd.viewers),
    }


def one_round(seconds: float) -> list[Measurement]:
    """Measure the baselines, then ours with more and more viewers."""
    results = []
    for kind, counts in KINDS:
        server, crowd = Server(kind), Crowd()
        try:
            for count in counts:
                grow(server, crowd, count)
                results.append(measure(kind, server, crowd, seconds))
                click.echo(json.dumps(results[-1]))
        finally:
            crowd.disperse()
            server.close()
    return results


def floor(viewers: int, seconds: float) -> float | None:
    """Return what encryption and sending alone cost a viewer in C (`_floor.c`), percent of a core.

    None where there is no C compiler, OpenSSL for it, or `UDP_SEGMENT`. Nobody takes the packets there.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "floor"
        source = Path(__file__).with_name("_floor.c")
        built = subprocess.run(
            [compiler, "-O2", "-o", program, source, "-lcrypto"], check=False, capture_output=True
        )
        if built.returncode:
            return None
        run = subprocess.run(
            [program, str(viewers), str(round(seconds))], check=False, capture_output=True, text=True
        )
        return float(run.stdout) if run.returncode == 0 else None


def calibration() -> float:
    """Return what a fixed piece of Python takes of the CPU here, ms: figures of two machines differ by it."""
    began = time.process_time()
    sum(number * number % 7 for number in range(1_000_000))
    return round((time.process_time() - began) * 1000, 1)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds, interleaved.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each measurement.")
def main(rounds: int, seconds: float) -> None:
    """Measure CPU per viewer, and print it as JSON lines and a ratio."""
    results = [result for _ in range(rounds) for result in one_round(seconds)]

    def median(kind: str, viewers: int) -> float:
        return statistics.median(
            float(result["cpu_percent_per_viewer"])
            for result in results
            if (result["kind"], result["viewers"]) == (kind, viewers)
        )

    per_encode, pass_through = median("encode_per_viewer", 1), median("pass_through", COMPARED)
    for count in COUNTS:
        ours = median("ours", count)
        click.echo(
            json.dumps(
                {
                    "viewers": count,
                    "cpu_percent_per_viewer": ours,
                    "over_pass_through_at_50": round(ours / pass_through, 5),
                    "over_encode_per_viewer_at_1": round(ours / per_encode, 5),
                }
            )
        )
    click.echo(json.dumps({"floor_in_c_percent_per_viewer": floor(COMPARED, seconds)}))
    click.echo(json.dumps({"calibration_ms": calibration()}))
    click.echo(json.dumps({"load": os.getloadavg(), "cpus": os.cpu_count(), "machine": platform.processor()}))
    click.echo(f"fanout ratio {median('ours', COMPARED) / pass_through:.5f}")


if __name__ == "__main__":
    main()
