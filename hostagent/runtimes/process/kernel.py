"""System calls that Python 3.11 has no names for: clone, mount, pivot_root, setns, prctl, and newer ones."""

import array
import ctypes
import fcntl
import os
import platform
import struct
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_PARENT: Final = 0x00008000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_SLAVE: Final = 0x80000

_MNT_DETACH = 0x2
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_PR_SET_NO_NEW_PRIVS = 38

_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155},
    "aarch64": {"clone": 220, "pivot_root": 41},
}
"""Numbers of system calls that differ between machines."""
_OPEN_TREE, _MOVE_MOUNT = 428, 429
"""The same on every machine."""

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _system_call(what: str, number: int, *arguments: object) -> int:
    function = _libc.syscall
    function.restype = ctypes.c_long
    return _call(what, function(ctypes.c_long(number), *arguments))


def _number(name: str) -> int:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise OSError(f"{name} has no known number on {machine}; it has on {', '.join(_NUMBERS)}")
    return _NUMBERS[machine][name]


def fork_into(flags: int) -> int:
    """Fork as clone(2) with `flags` does: 0 in the child, its pid in the parent. Only with a single thread.

    With `CLONE_PARENT` the child belongs to our parent, which then learns of its end.
    """
    signal_at_end = 17  # SIGCHLD
    zero = ctypes.c_long(0)
    return _system_call(
        "clone", _number("clone"), ctypes.c_long(flags | signal_at_end), zero, zero, zero, zero
    )


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` (unshare(2))."""
    _call("unshare", _libc.unshare(flags))


def enter_namespace(path: Path, kind: int) -> None:
    """Move this thread into the namespace at `path` (setns(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(f"setns to {path}", _libc.setns(descriptor, kind))
    finally:
        os.close(descriptor)


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount (mount(2)); the error names both ends."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _call(f"mount of {source} at {target}", result)


def bind(source: Path | str, target: Path | str, *, recursive: bool = False) -> None:
    """Show `source` at `target` too."""
    mount(os.fspath(source), target, flags=MS_BIND | (MS_REC if recursive else 0))


def make_root(directory: Path) -> None:
    """Let `directory`, a mount point, be the root and forget the old one (pivot_root(2))."""
    os.chdir(directory)
    _system_call("pivot_root", _number("pivot_root"), b".", b".")
    _call("detaching the old root", _libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def detached_copy(path: Path) -> int:
    """Return a descriptor of a mount of `path` that is nowhere yet (open_tree(2), Linux 5.2)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    return _system_call(
        f"open_tree of {path}", _OPEN_TREE, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags)
    )


def place(copy: int, target: Path) -> None:
    """Mount what `detached_copy` returned at `target` (move_mount(2))."""
    _system_call(
        f"mount at {target}", _MOVE_MOUNT, ctypes.c_int(copy), b"",
        ctypes.c_int(_AT_FDCWD), os.fsencode(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )  # fmt: skip


def set_host_name(name: str) -> None:
    """Name the UTS namespace we are in; at most 64 bytes."""
    encoded = name.encode()[:64]
    _call("sethostname", _libc.sethostname(encoded, len(encoded)))


def give_up_privileges() -> None:
    """Let no program started from here gain a right by setuid or file capabilities (no_new_privs)."""
    _call("no_new_privs", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


_PIDFD_GET_INFO = 0xC000FF0B | 64 << 16
"""_IOWR(0xFF, 11, the first 64 bytes of struct pidfd_info)."""
_PIDFD_INFO_EXIT = 1 << 3


def exit_status_of(pidfd: int) -> int | None:
    """Return the wait status of a process that ended and was reaped by somebody else; None when not known.

    Linux 6.15 keeps it as long as the descriptor is open (PIDFD_GET_INFO).
    """
    info = array.array("B", struct.pack("=Q56x", _PIDFD_INFO_EXIT))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info, True)
    except OSError:
        return None
    found, *_ = struct.unpack_from("=Q", info)
    if not found & _PIDFD_INFO_EXIT:
        return None
    return int(struct.unpack_from("=i", info, 60)[0])
