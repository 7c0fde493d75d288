"""CPU for a picture of full motion, 1080p30, captured and encoded, over pixelflux's (one encoder thread).

A real X server shows a film of which every picture is known (`bench._film`). Ours and pixelflux, each in a
process of its own and in turns, capture it with x264: the same frame rate, rate factor, ceiling and burst.
CPU is that of the capturing process and of the X server, user and system, per picture delivered in the same
seconds; the median of the rounds' ratios. The streams are decoded, and their luma is compared with the
film's; when they differ by more than 1 dB, or the bit rates by more than a tenth, there is no ratio.
pixelflux gets an environment of its own in `.cache/bench`, made once.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import click
import numpy
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from bench._film import MARK, Pixels, Projector, film, number_of
from bench._page import Page
from bench.fanout import calibration

PEER = "pixelflux"
REQUIREMENT = "pixelflux==2.2.1"
ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".cache" / "bench" / REQUIREMENT
SETTLE_SECONDS = 1.0
LOOKED_AT = 7
"""Every seventh picture is compared: no divisor of the film's length, so that all of it is seen in time."""

IN_TIME = 0.9
"""Share of the film's pictures that both sides must deliver for a round to count."""

_BT709 = 1  # AVCOL_SPC_BT709
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_WEIGHTS_709, _WEIGHTS_601 = (0.2126, 0.7152, 0.0722), (0.299, 0.587, 0.114)  # red, green, blue


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, which is made when there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "ready").exists():
        uv = Path(sys.executable).parent / "uv"
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT], check=True
        )
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, REQUIREMENT], check=True)
        (ENVIRONMENT / "ready").touch()
    return python


def measure(command: list[str | Path], page: Page, projector: Projector, seconds: float) -> dict[str, float]:
    """Let one side capture while the film runs; return its figures. Raises when it does not start."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    with process:
        try:
            answer(process, "ready")
            projector.run(SETTLE_SECONDS)
            server = page.server_seconds()
            process.stdin.write("begin\n")
            process.stdin.flush()
            projector.run(seconds)
            process.stdin.write("end\n")
            process.stdin.flush()
            figures: dict[str, float] = json.loads(answer(process, "{"))
            return figures | {"server_seconds": page.server_seconds() - server}
        finally:
            process.stdin.close()
            drain(process)


def answer(process: subprocess.Popen[str], beginning: str) -> str:
    """Return the next line that begins so; a peer may print others."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line.startswith(beginning):
            return line
        said.append(line)
    raise SystemExit(f"{process.args!r} ended without {beginning!r}; it said: {''.join(said)[-2000:]!r}")


def drain(process: subprocess.Popen[str]) -> None:
    """Read what it still says, so that it can say it, until it has ended."""
    assert process.stdout is not None
    process.stdout.read()


def units(path: Path) -> Iterator[bytes]:
    """Read the access units of a stream."""
    with path.open("rb") as file:
        while head := file.read(4):
            yield file.read(*struct.unpack("!I", head))


def luma(picture: VideoFrame) -> Pixels:
    """Return the luma of a decoded picture."""
    plane = picture.planes[0]
    rows: Pixels = numpy.frombuffer(bytes(plane), numpy.uint8).reshape(-1, plane.line_size)
    return rows[: picture.height, : picture.width]


def known_luma(pixels: Pixels, picture: VideoFrame) -> Pixels:
    """Return the luma that a picture of the film has by the colour description of the stream."""
    red, green, blue = _WEIGHTS_709 if picture.colorspace == _BT709 else _WEIGHTS_601
    value = pixels[:, :, 2] * red + pixels[:, :, 1] * green + pixels[:, :, 0] * blue
    if picture.color_range != _FULL_RANGE:
        value = 16 + value * (219 / 255)
    known: Pixels = numpy.round(value).astype(numpy.uint8)
    return known


def quality(path: Path, first: int, last: int, pictures: list[Pixels]) -> float:
    """Return the mean PSNR (dB) of a stream's luma, between the access units `first` and `last`."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    found = []
    for place, unit in enumerate(units(path)):
        for picture in decoder.decode(av.Packet(unit)):
            if first <= place < last and place % LOOKED_AT == 0:
                shown = luma(picture)
                known = known_luma(pictures[number_of(shown)], picture)
                error = numpy.square(shown[MARK:].astype(numpy.int32) - known[MARK:]).mean()
                found.append(10 * numpy.log10(255**2 / error))
    return float(numpy.mean(found))


def one_side(
    kind: str,
    command: list[str | Path],
    page: Page,
    projector: Projector,
    pictures: list[Pixels],
    seconds: float,
) -> dict[str, float]:
    """Measure one side and print its figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream"
        raw = measure([*command, path], page, projector, seconds)
        first, last = int(raw["first"]), int(raw["last"])
        size = sum(len(unit) for unit in list(units(path))[first:last])
        psnr = quality(path, first, last, pictures)
    count = max(last - first, 1)
    figures = {
        "ms_per_picture": (raw["cpu_seconds"] + raw["server_seconds"]) / count * 1000,
        "own_ms": raw["cpu_seconds"] / count * 1000,
        "xserver_ms": raw["server_seconds"] / count * 1000,
        "own_percent": raw["cpu_seconds"] / raw["seconds"] * 100,
        "xserver_percent": raw["server_seconds"] / raw["seconds"] * 100,
        "fps": count / raw["seconds"],
        "kbit_s": size * 8 / raw["seconds"] / 1000,
        "psnr_db": psnr,
    }
    print(json.dumps({"side": kind} | {name: round(value, 3) for name, value in figures.items()}), flush=True)
    return figures


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Rounds, interleaved.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each measurement.")
@click.option("--width", default=1920, show_default=True)
@click.option("--height", default=1080, show_default=True)
@click.option("--fps", default=30, show_default=True)
@click.option("--bitrate", default=4000, show_default=True, help="kbit/s at most.")
def main(rounds: int, seconds: float, width: int, height: int, fps: int, bitrate: int) -> None:
    """Run the benchmark and print its lines."""
    peer = peer_python()
    pictures = film(width, height)
    with closing(Page(width, height)) as page:
        projector = Projector(page, pictures, fps)
        server = page.server_seconds()
        projector.run(seconds)
        shown = (page.server_seconds() - server) / seconds * 100
        print(json.dumps({"side": "nobody", "xserver_percent": round(shown, 3)}), flush=True)
        what = [page.display.name, str(fps), str(bitrate)]
        commands: dict[str, list[str | Path]] = {
            "ours": [sys.executable, "-m", "bench._capture_ours", *what],
            PEER: [peer, "bench/_capture_pixelflux.py", *what, str(width), str(height)],
        }
        results: list[dict[str, dict[str, float]]] = []
        spoilt = 0
        while len(results) < rounds and spoilt <= rounds:
            one_round = {
                kind: one_side(kind, command, page, projector, pictures, seconds)
                for kind, command in commands.items()
            }
            if all(side["fps"] >= IN_TIME * fps for side in one_round.values()):
                results.append(one_round)
            else:
                spoilt += 1
    if not results:
        raise SystemExit("this machine is too busy to deliver the film: no round counts")

    def median(figure: str) -> float:
        return statistics.median(one["ours"][figure] / one[PEER][figure] for one in results)

    difference = statistics.median(one["ours"]["psnr_db"] - one[PEER]["psnr_db"] for one in results)
    bits = median("kbit_s")
    print(
        json.dumps(
            {
                "psnr_difference_db": round(difference, 2),
                "bitrate_ratio": round(bits, 3),
                "fps_ratio": round(median("fps"), 3),
                "rounds": len(results),
                "spoilt_rounds": spoilt,
                "ratio_without_xserver": round(median("own_ms"), 4),
                "calibration_ms": calibration(),
                "load": os.getloadavg(),
                "cpus": os.cpu_count(),
                "machine": platform.processor(),
            }
        )
    )
    if abs(difference) > 1 or abs(bits - 1) > 0.1:
        raise SystemExit("the streams differ by more than 1 dB or a tenth of the bit rate: no ratio")
    print(f"capture ratio {median('ms_per_picture'):.4f}")


if __name__ == "__main__":
    main()
