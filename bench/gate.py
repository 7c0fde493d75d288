"""What the gate costs beyond the writes it makes. See the README beside this file."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.control_file import ControlFile
from plugins.scaletozero.gate_controller import GateController, WriteReport
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import HoldKey, HoldKind
from plugins.scaletozero.marker import FileMarker, read_boot_id
from tests.scaletozero.fuse_control_file import FuseControlFile

HOLDERS = (1, 8, 64)
DEADLINE = 30.0
"""Seconds that one step may take before the bench gives up."""
RUN_DIR = Path("/dev/shm")
"""Where the crash marker lives: in memory, as in `/run`, the default of `server.run_dir`."""
WARM_UP = 32
"""Pairs before anything is measured."""

Pair = Callable[[int], None]
"""One acquire and release by the holder of that number."""


@dataclass(frozen=True)
class Cost:
    """What some pairs cost and what came to the file meanwhile."""

    seconds: float
    pairs: int
    plus: int
    minus: int

    @property
    def microseconds(self) -> float:
        """The cost of one pair."""
        return self.seconds / self.pairs * 1e6


class Gate:
    """The real controller with cooldown 0, its crash marker, and the counting file."""

    def __init__(self, file: Path, directory: Path) -> None:
        """Put it together; nothing runs before `start`."""
        self._lowered = threading.Semaphore(0)
        self._marker = FileMarker(directory, file, read_boot_id())
        self._controller = GateController(
            GateState(cooldown=0),
            ControlFile(file),
            self._marker,
            write_timeout=DEADLINE,
            drain_timeout=DEADLINE,
        )
        self._controller.on_write(self._note)

    def start(self) -> None:
        """Let the writer run."""
        self._marker.claim()
        self._controller.start()

    def close(self) -> None:
        """Take our `+` back, if there is one, and end."""
        self._controller.drain().wait()
        self._controller.close()
        assert self._controller.join(DEADLINE)
        self._marker.release()

    def pair(self, holder: int) -> None:
        """Hold, know that the file says so, release, and know that the file says so."""
        self.acquire(holder)
        self.release(holder)
        self.wait_lowered()

    def acquire(self, holder: int) -> None:
        """Hold, and wait until the file says so."""
        self._controller.acquire(HoldKey(HoldKind.REQUEST, str(holder))).wait()

    def release(self, holder: int) -> None:
        """Let go; the last one's release has `-` written."""
        self._controller.release(HoldKey(HoldKind.REQUEST, str(holder)))

    def wait_lowered(self) -> None:
        """Wait for the next `-`."""
        assert self._lowered.acquire(timeout=DEADLINE), "no '-' came"

    def _note(self, report: WriteReport) -> None:
        assert report.outcome.result is WriteResult.WRITTEN, report.outcome.error
        if report.command is Command.LOWER:
            self._lowered.release()


def raw_pair(file: ControlFile) -> Pair:
    """Return what a pair needs and no more: `+` and `-`, written directly."""

    def pair(holder: int) -> None:
        file.write(Command.RAISE)
        file.write(Command.LOWER)

    return pair


def in_turn(file: FuseControlFile, pair: Pair, holders: int, pairs: int) -> Cost:
    """Let the holders, each a thread, make pairs one after the other: each pair needs its own `+` and `-`."""
    turns = [threading.Semaphore(0) for _ in range(holders)]
    done = threading.Event()

    def hold(number: int) -> None:
        for turn in range(number, pairs, holders):
            assert turns[number].acquire(timeout=DEADLINE)
            pair(number)
            if turn + 1 == pairs:
                done.set()
            turns[(number + 1) % holders].release()

    def run() -> None:
        turns[0].release()
        assert done.wait(DEADLINE), "the holders did not end"

    return measured(file, [functools.partial(hold, number) for number in range(holders)], run, pairs)


def together(file: FuseControlFile, gate: Gate, holders: int, rounds: int) -> Cost:
    """Let all holders come and hold at the same time, then all go: one `+` and `-` for all of them."""
    met = threading.Barrier(holders + 1)

    def hold(number: int) -> None:
        for _ in range(rounds):
            met.wait(DEADLINE)
            gate.acquire(number)
            met.wait(DEADLINE)
            gate.release(number)

    def run() -> None:
        for _ in range(rounds):
            met.wait(DEADLINE)
            met.wait(DEADLINE)
            gate.wait_lowered()

    holds = [functools.partial(hold, number) for number in range(holders)]
    return measured(file, holds, run, rounds * holders)


def measured(
    file: FuseControlFile, holds: Sequence[Callable[[], None]], run: Callable[[], None], pairs: int
) -> Cost:
    """Run the holders' threads and say what that cost, without their start and end."""
    file.forget()
    threads = [threading.Thread(target=hold, daemon=True) for hold in holds]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    for thread in threads:
        thread.join(DEADLINE)
    taken = file.taken
    return Cost(seconds, pairs, taken.count("+"), taken.count("-"))


@contextlib.contextmanager
def quiet_placement() -> Iterator[None]:
    """Keep what is started inside on one core, and us on another for good, in both cases alike.

    Otherwise the figure says where the scheduler happened to put three threads: a wake-up across cores costs
    many times one on the same core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1]})
    yield
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})


def compare(file: FuseControlFile, holders: int, rounds: int, pairs: int) -> float:
    """Measure one number of holders, print it, and return our cost over that of the writes alone."""
    raw = raw_pair(ControlFile(file.path))
    ours, floor, crowd = [], [], []
    memory = RUN_DIR if RUN_DIR.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="catnap-bench-", dir=memory) as directory:
        gate = Gate(file.path, Path(directory))
        gate.start()
        try:
            in_turn(file, gate.pair, holders, WARM_UP)
            for _ in range(rounds):
                ours.append(in_turn(file, gate.pair, holders, pairs))
                floor.append(in_turn(file, raw, holders, pairs))
                crowd.append(together(file, gate, holders, max(4, pairs // holders)))
        finally:
            gate.close()
    for cost in (*ours, *floor, *crowd):
        assert cost.plus == cost.minus, f"{cost.plus} '+' but {cost.minus} '-'"
    for mine, theirs in zip(ours, floor, strict=True):
        assert mine.plus == theirs.plus == pairs, "a pair had no '+' of its own"
    ratio = statistics.median(mine.seconds / theirs.seconds for mine, theirs in zip(ours, floor, strict=True))
    raw_microseconds = statistics.median(cost.microseconds for cost in floor)
    crowd_microseconds = statistics.median(cost.microseconds for cost in crowd)
    say(
        holders=holders,
        pairs=sum(cost.pairs for cost in ours),
        plus=sum(cost.plus for cost in ours),
        minus=sum(cost.minus for cost in ours),
        microseconds=round(statistics.median(cost.microseconds for cost in ours), 1),
        raw_microseconds=round(raw_microseconds, 1),
        ratio=round(ratio, 3),
    )
    say(
        holders=holders,
        together=True,
        pairs=sum(cost.pairs for cost in crowd),
        plus=sum(cost.plus for cost in crowd),
        minus=sum(cost.minus for cost in crowd),
        microseconds=round(crowd_microseconds, 1),
        over_raw_pair=round(crowd_microseconds / raw_microseconds, 3),
    )
    return ratio


def say(**fields: object) -> None:
    """Print one JSON line."""
    print(json.dumps(fields), flush=True)


def main() -> None:
    """Measure, and print the worst ratio last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pairs", type=int, default=64)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        with quiet_placement():
            file = stack.enter_context(FuseControlFile())
        ratios = [compare(file, holders, arguments.rounds, arguments.pairs) for holders in HOLDERS]
        assert file.value == 0, f"the counter ended at {file.value}"
    print(f"gate ratio {max(ratios):.3f}")


if __name__ == "__main__":
    main()
