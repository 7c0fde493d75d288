"""Hearing of changes in a directory from the kernel (inotify(7)): nothing is done while nothing changes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _IGNORED = 0x400, 0x800, 0x8000
_ONLYDIR, _DONT_FOLLOW = 0x01000000, 0x02000000
_MASK = (
    _CLOSE_WRITE
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLYDIR
    | _DONT_FOLLOW
)
_EVENT = struct.Struct("iIII")
"""wd, mask, cookie, length of the name that follows."""

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls `on_change` on the event loop when a file comes, goes, is renamed or has been written."""

    def __init__(self, path: Path, on_change: Callable[[], None]) -> None:
        self._path = path
        self._on_change = on_change
        self._descriptor = -1
        self._watching = False

    def ensure(self) -> bool:
        """Watch, also again after the directory was replaced; false while the kernel does not let us."""
        if self._descriptor < 0:
            self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._descriptor < 0:
                return False
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        if not self._watching:
            watch = _libc.inotify_add_watch(self._descriptor, os.fsencode(self._path), _MASK)
            self._watching = watch >= 0
        return self._watching

    def close(self) -> None:
        """Stop; twice is fine."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._watching = False

    def _read(self) -> None:
        try:
            events = os.read(self._descriptor, 64 * 1024)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(events):
            _, mask, _, length = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + length
            if mask & (_IGNORED | _DELETE_SELF):
                self._watching = False
            elif mask & _MOVE_SELF:
                # what is watched is elsewhere now: begin anew with what has the name
                self.close()
                self.ensure()
                break
        self._on_change()
