"""Whether a level can be reached on this machine: tried with a real process, answered in words."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from hostagent.errors import HostError
from hostagent.instances.model import Level
from hostagent.runtimes.contract import LevelSupport
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.hierarchies import Hierarchies

TRIAL_BYTES = 16 << 20
SWAPS = Path("/proc/swaps")
_TRIAL = (
    "import sys; sys.stdin.readline(); kept = bytearray(b'x') * int(sys.argv[1]); "
    "print(flush=True); sys.stdin.readline()"
)


async def probe_levels(hierarchies: Hierarchies, group: str) -> Mapping[Level, LevelSupport]:
    """Try every level once; takes some tenths of a second."""
    frozen, reclaimed = await _try_freezer(hierarchies, group)
    answers = [
        LevelSupport(Level.AWAKE, True, "an instance can always run"),
        frozen,
        reclaimed,
        LevelSupport(
            Level.STANDBY,
            False,
            "the process runtime cannot write a command's memory to disk; a virtual machine can",
        ),
        LevelSupport(Level.STOPPED, True, "an instance can always be ended and started again"),
    ]
    return {answer.level: answer for answer in answers}


def remove_group(hierarchies: Hierarchies, group: str) -> None:
    """Remove the cgroup above instances that are gone."""
    for directory in Cgroup(hierarchies, group).directories:
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()


def swap_free() -> int:
    """Return the bytes of swap that are free."""
    total = 0
    for line in SWAPS.read_text().splitlines()[1:]:
        fields = line.split()
        total += (int(fields[2]) - int(fields[3])) * 1024
    return total


NO_SWAP = "this machine has no free swap to move memory to"
"""`catnap host doctor` says how to make some."""


async def _try_freezer(hierarchies: Hierarchies, group: str) -> tuple[LevelSupport, LevelSupport]:
    def frozen(supported: bool, answer: str) -> LevelSupport:
        return LevelSupport(Level.FROZEN, supported, answer)

    def reclaimed(supported: bool, answer: str) -> LevelSupport:
        return LevelSupport(Level.RECLAIMED, supported, answer)

    kind = "v2" if hierarchies.unified else "v1"
    try:
        async with _trial(hierarchies, group) as cgroup:
            await cgroup.freeze()
            freezes = frozen(True, f"the freezer of cgroup {kind} stopped a process, and it can be thawed")
            memory = reclaimed(*await _try_reclaim(hierarchies, cgroup))
            cgroup.thaw()
            return freezes, memory
    except (HostError, OSError) as error:
        answer = f"the freezer was tried and did not work: {error}"
        return frozen(False, answer), reclaimed(
            False, "memory is only taken from frozen instances: " + answer
        )


async def _try_reclaim(hierarchies: Hierarchies, cgroup: Cgroup) -> tuple[bool, str]:
    if not (hierarchies.unified_memory or hierarchies.memory):
        return (
            False,
            "no cgroup hierarchy has the memory controller: memory cannot be asked back",
        )
    if swap_free() < TRIAL_BYTES:
        return False, NO_SWAP
    try:
        given_back = await asyncio.to_thread(cgroup.reclaim)
    except HostError as error:
        return False, str(error)
    how = "memory.reclaim of cgroup v2" if hierarchies.unified_memory else "memory.force_empty of cgroup v1"
    if given_back < TRIAL_BYTES // 2:
        return False, f"{how} gave back {given_back} of {TRIAL_BYTES} bytes: is vm.swappiness 0?"
    return True, f"{how} gave back {given_back >> 20} MiB of a trial process"


@contextlib.asynccontextmanager
async def _trial(hierarchies: Hierarchies, group: str) -> AsyncIterator[Cgroup]:
    """Run a process with some memory in a cgroup of its own."""
    cgroup = Cgroup(hierarchies, f"{group}/probe-{os.getpid()}-{secrets.token_hex(3)}")
    cgroup.make()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _TRIAL,
            str(TRIAL_BYTES),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdin
        assert child.stdout
        try:
            for directory in cgroup.directories:
                (directory / "cgroup.procs").write_text(str(child.pid))
            child.stdin.write(b"\n")
            await child.stdout.readline()
            yield cgroup
        finally:
            cgroup.kill()
            # not child.kill(): it would reap the process behind asyncio's back, which logs a warning
            with contextlib.suppress(ProcessLookupError):
                if child.returncode is None:
                    os.kill(child.pid, signal.SIGKILL)
            await asyncio.gather(child.wait(), child.stdout.read())
    finally:
        await cgroup.remove()
