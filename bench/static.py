"""CPU for one viewer of a page on which somebody types, over the same with capture that never rests.

Both sides as in `bench.still`: the server's process and the X server together, percent of one core, medians
of interleaved rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import closing

import click

from bench._page import Page
from bench.still import compare


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--seconds", default=3.0, show_default=True, type=click.FloatRange(0.2), help="Length of a measurement."
)
@click.option("--width", default=1280, show_default=True)
@click.option("--height", default=720, show_default=True)
def main(rounds: int, seconds: float, width: int, height: int) -> None:
    """Run the benchmark and print its lines."""
    with closing(Page(width, height)) as page:
        medians = asyncio.run(compare(page, rounds, seconds, ["typing"]))
    print(json.dumps({"load": os.getloadavg(), "cpus": os.cpu_count()}))
    print(f"static ratio {medians['typing', 'damage'] / medians['typing', 'always']:.4f}")


if __name__ == "__main__":
    main()
