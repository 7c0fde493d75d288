import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamserver.capture.shared_memory import SharedMemory
from streamserver.desktop.account import lookup


def segments() -> dict[int, list[str]]:
    """The kernel's list: shmid -> its fields."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    names = lines[0].split()
    return {int(line.split()[names.index("shmid")]): line.split() for line in lines[1:]}


def test_it_can_be_written_and_leaves_with_its_last_user() -> None:
    memory = SharedMemory(8192)
    ctypes.memset(memory.address, 7, memory.size)
    assert ctypes.string_at(memory.address, memory.size) == b"\x07" * 8192
    memory.forget()
    assert memory.id in segments()
    memory.close()
    memory.close()
    assert memory.id not in segments()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give memory away")
def test_it_belongs_to_the_x_servers_account_alone() -> None:
    owner = lookup("catnap")
    memory = SharedMemory(4096, owner)
    fields = segments()[memory.id]
    memory.close()
    names = Path("/proc/sysvipc/shm").read_text().splitlines()[0].split()
    assert int(fields[names.index("perms")], 8) & 0o777 == 0o600
    assert int(fields[names.index("uid")]) == owner.uid


def test_nothing_is_left_when_the_process_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from streamserver.capture.shared_memory import SharedMemory\n"
        "memory = SharedMemory(4096)\n"
        "memory.forget()\n"
        "print(memory.id, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    shmid = int(process.stdout.readline())
    assert shmid in segments()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert shmid not in segments()
