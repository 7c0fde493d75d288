"""Telling a process from a later one of the same number."""

from pathlib import Path

from hostagent.instances.model import ProcessStamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what is different after each boot of the machine."""
    return _BOOT_ID.read_text().strip()


def stamp_of(pid: int) -> ProcessStamp | None:
    """Return the stamp of a running process, None when there is none (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(") ")[2].split()  # the name before may contain anything
    if fields[0] in ("Z", "X"):
        return None
    return ProcessStamp(pid, int(fields[19]), boot_id())


def is_running(stamp: ProcessStamp) -> bool:
    """Whether exactly that process runs."""
    return stamp_of(stamp.pid) == stamp


def is_first_of_its_namespace(pid: int) -> bool:
    """Whether the process is number 1 of a process namespace directly below ours."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    for line in text.splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) == 2 and numbers[-1] == "1"  # more: inside of it (a browser's sandbox)
    return False
