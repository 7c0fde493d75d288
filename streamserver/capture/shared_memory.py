"""System V shared memory, as MIT-SHM wants it, by ctypes (shmget(2), shmat(2), shmctl(2))."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Protocol

from .errors import CaptureError

_IPC_PRIVATE = 0
_IPC_CREAT = 0o1000
_IPC_RMID = 0
_IPC_SET = 1
_IPC_STAT = 2
_OWNER_ONLY = 0o600


class Owner(Protocol):
    """The account under which the X server runs."""

    @property
    def uid(self) -> int:
        """Its user number."""

    @property
    def gid(self) -> int:
        """Its group number."""


class _IpcPerm(ctypes.Structure):
    """`struct ipc64_perm` of Linux (asm-generic/ipcbuf.h)."""

    _fields_ = (
        ("key", ctypes.c_int),
        ("uid", ctypes.c_uint),
        ("gid", ctypes.c_uint),
        ("cuid", ctypes.c_uint),
        ("cgid", ctypes.c_uint),
        ("mode", ctypes.c_uint),
        ("seq", ctypes.c_ushort),
        ("rest", ctypes.c_ubyte * 256),
    )


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    libc.shmget.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_int)
    libc.shmctl.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    libc.shmdt.argtypes = (ctypes.c_void_p,)
    return libc


def _checked(result: int, call: str, size: int) -> int:
    if result == -1:
        error = os.strerror(ctypes.get_errno())
        raise CaptureError(
            f"shared memory for the screen ({size} bytes): {call} failed: {error}; "
            "see `ipcs -lm` and the limits kernel.shmmax and kernel.shmall"
        )
    return result


class SharedMemory:
    """A private segment of `size` bytes that this process and the X server map.

    Mode 0600; with `owner` it belongs to the X server's account, which alone may then map it besides root.
    It is removed by the kernel with its last user, however that one ends: call `forget` as soon as both
    have mapped it.
    """

    def __init__(self, size: int, owner: Owner | None = None) -> None:
        libc = _libc()
        self.size = size
        self._forgotten = False
        self.id = _checked(libc.shmget(_IPC_PRIVATE, size, _IPC_CREAT | _OWNER_ONLY), "shmget", size)
        try:
            address: int | None = libc.shmat(self.id, None, 0)
            if address is None or address == ctypes.c_void_p(-1).value:
                _checked(-1, "shmat", size)
            self.address = address or 0
            if owner is not None and owner.uid != os.geteuid():
                self._give_to(owner)
        except BaseException:
            self.forget()
            raise

    def _give_to(self, owner: Owner) -> None:
        libc = _libc()
        status = _IpcPerm()
        _checked(libc.shmctl(self.id, _IPC_STAT, ctypes.byref(status)), "shmctl(IPC_STAT)", self.size)
        status.uid, status.gid, status.mode = owner.uid, owner.gid, _OWNER_ONLY
        _checked(libc.shmctl(self.id, _IPC_SET, ctypes.byref(status)), "shmctl(IPC_SET)", self.size)

    def forget(self) -> None:
        """Mark it for removal with its last user; nobody else can map it from then on. Safe to call again."""
        if not self._forgotten:
            self._forgotten = True
            _libc().shmctl(self.id, _IPC_RMID, None)

    def close(self) -> None:
        """Unmap it here. `address` must not be used afterwards. Safe to call again."""
        self.forget()
        if self.address:
            _libc().shmdt(self.address)
            self.address = 0
