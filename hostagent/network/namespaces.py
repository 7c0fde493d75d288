"""Network namespaces with a name, and code that runs inside one.

By setns(2) in a thread of its own, never by `ip netns exec`: that mounts a new /sys and hides the cgroups.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hostagent.errors import HostError

T = TypeVar("T")

DIRECTORY = Path("/run/netns")
"""Where iproute2 looks for names, too."""
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(HostError):
    """A network namespace could not be made or entered."""


def path(name: str) -> Path:
    """Return where a namespace's name is."""
    return DIRECTORY / name


def exists(name: str) -> bool:
    """Tell whether the name leads to a namespace; a plain file is what an interrupted `create` left."""
    try:
        return path(name).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def create(name: str) -> None:
    """Make a namespace that has the name and nothing in it but a loopback interface that is down."""
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    _share()
    target = path(name)
    target.touch(mode=0o444)

    def make() -> None:
        if _libc.unshare(_CLONE_NEWNET):
            raise _failure("a network namespace cannot be made")
        own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        if _libc.mount(own.encode(), bytes(target), None, _MS_BIND, None):
            raise _failure(f"{target} cannot be mounted")

    try:
        _in_thread(make)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def remove(name: str) -> None:
    """Take the name away; the namespace ends with the last process in it."""
    target = path(name)
    _libc.umount2(bytes(target), _MNT_DETACH)
    target.unlink(missing_ok=True)


def run(name: str, function: Callable[[], T]) -> T:
    """Return what the function returns when it runs inside; sockets it makes stay there."""
    try:
        descriptor = os.open(path(name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NamespaceError(f"the network namespace {path(name)} cannot be opened: {error}") from error

    def inside() -> T:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            raise _failure(f"the network namespace {path(name)} cannot be entered")
        return function()

    try:
        return _in_thread(inside)
    finally:
        os.close(descriptor)


def _share() -> None:
    """Make mounts in the directory visible to everybody who sees it, as iproute2 does."""
    for _ in range(2):
        if _libc.mount(b"", bytes(DIRECTORY), b"none", _MS_SHARED | _MS_REC, None) == 0:
            return
        if _libc.mount(bytes(DIRECTORY), bytes(DIRECTORY), b"none", _MS_BIND | _MS_REC, None):
            break
    raise _failure(f"{DIRECTORY} cannot be made a shared mount")


def _in_thread(function: Callable[[], T]) -> T:
    """Run it in a thread that ends with it, because a thread cannot always come back from a namespace."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def catch() -> None:
        try:
            answers.append(function())
        except BaseException as error:  # noqa: BLE001 (it is raised again, in the caller)
            errors.append(error)

    thread = threading.Thread(target=catch, name="catnap-netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _failure(what: str) -> NamespaceError:
    number = ctypes.get_errno()
    return NamespaceError(f"{what}: {os.strerror(number)}; this needs root (CAP_SYS_ADMIN)")
