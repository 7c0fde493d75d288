"""Puts a gate file into the mount namespace of an instance that runs.

    python -m hostagent.runtimes.process.gate_mount PID FILE

A process of its own, since only one with a single thread may enter another mount namespace.
"""

import asyncio
import os
import sys
from pathlib import Path

from hostagent.errors import HostError
from hostagent.gatefile.mounts import unmount
from hostagent.runtimes.process import kernel
from hostagent.runtimes.process.launch_order import GATE

_TREE = Path(__file__).parents[3]
_DEADLINE = 10.0


async def show_gate(pid: int, gate_file: Path) -> None:
    """Mount `gate_file` where process `pid` sees its gate, in place of what was there; raises HostError.

    Where it is in place already nothing is done.
    """
    if await asyncio.to_thread(_is_shown, pid, gate_file):
        return
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-m", "hostagent.runtimes.process.gate_mount", str(pid), str(gate_file),
        cwd=_TREE, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_DEADLINE):
            _, errors = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise HostError(f"{gate_file} could not be shown to process {pid} within {_DEADLINE:g} s") from None
    if child.returncode:
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise HostError(f"{gate_file} cannot be shown to process {pid}: {reason}")


def _is_shown(pid: int, gate_file: Path) -> bool:
    try:
        return gate_file.samefile(f"/proc/{pid}/root{GATE}")
    except OSError:  # ENOTCONN: the server behind it was killed
        return False


def main() -> None:
    """Do it in this process."""
    pid, gate_file = int(sys.argv[1]), Path(sys.argv[2])
    copy = kernel.detached_copy(gate_file)
    kernel.enter_namespace(Path(f"/proc/{pid}/ns/mnt"), kernel.CLONE_NEWNS)
    unmount(GATE)
    kernel.place(copy, GATE)
    os.close(copy)


if __name__ == "__main__":
    main()
