"""The directory with the desktop's sockets and secrets: owned by its user, ours alone while we run."""

import fcntl
import os
import shutil
import stat
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError

NAME = "desktop"


class RunDirectory:
    """`server.run_dir`/desktop, from `claim` to `release`."""

    def __init__(self, parent: Path, account: Account) -> None:
        """Take `server.run_dir` and who the desktop runs as."""
        self.path = parent / NAME
        self._parent = parent
        self._account = account
        self._lock: int | None = None

    def claim(self) -> None:
        """Create it empty; what a killed server left is removed.

        Raises:
            DesktopError: another server uses it, or the account could not get into it.
        """
        try:
            self._parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._lock = os.open(self._parent / f"{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DesktopError(f"server.run_dir {self._parent} cannot be used: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise DesktopError(
                f"server.run_dir {self._parent} is in use by another catnap: stop that one or set another "
                "server.run_dir"
            ) from None
        if not self._account.is_ourselves:
            self._check_way()
        self._remove()
        self.path.mkdir(mode=0o700)
        os.chown(self.path, self._account.uid, self._account.gid)

    def release(self) -> None:
        """Remove it and let others use its place."""
        if self._lock is not None:
            self._remove()
            os.close(self._lock)
            self._lock = None

    def _remove(self) -> None:
        # rmtree works on descriptors and follows no links, whatever the account put there
        shutil.rmtree(self.path, ignore_errors=True)

    def _check_way(self) -> None:
        for directory in (self._parent.resolve(), *self._parent.resolve().parents):
            if not _may_enter(self._account, directory.stat()):
                raise DesktopError(
                    f"server.run_dir is {self._parent}, but {self._account.name} may not enter {directory} "
                    f"({stat.filemode(directory.stat().st_mode)}): set server.run_dir elsewhere or open it "
                    f"(chmod o+x {directory})"
                )


def _may_enter(account: Account, found: os.stat_result) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid in account.groups:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
