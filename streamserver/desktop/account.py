"""The system account under which X, sound and the browser run."""

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamserver.desktop.errors import DesktopError


@dataclass(frozen=True)
class Account:
    """A user of this machine, with every group it is in."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path

    @property
    def is_ourselves(self) -> bool:
        """Whether this process already runs as that user."""
        return os.geteuid() == self.uid

    @contextmanager
    def file_access(self) -> Iterator[None]:
        """Let file operations of this thread count as this user's, until the block ends.

        A browser that was taken over owns its directories and could plant symbolic links for root to
        follow; within this block root has no more power over files than that user: setfsuid(2) is per thread
        and drops the capabilities that override file permissions. Do not await inside.
        """
        if self.is_ourselves or os.geteuid() != 0:
            yield
            return
        libc = ctypes.CDLL(None)
        gid_before = libc.setfsgid(self.gid)
        uid_before = libc.setfsuid(self.uid)
        try:
            yield
        finally:
            libc.setfsuid(uid_before)
            libc.setfsgid(gid_before)


def lookup(name: str | None) -> Account:
    """Return the account to run children as; None or "" means the user this process runs as.

    Raises:
        DesktopError: no such user, or it is another user and we are not root.
    """
    if not name:
        entry = _entry_of_uid(os.geteuid())
    else:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise DesktopError(
                f"browser.user is {name!r}, but this machine has no such user: create it "
                f"(useradd --create-home {name}) or name another"
            ) from None
    if entry.pw_uid != os.geteuid() and os.geteuid() != 0:
        raise DesktopError(
            f"browser.user is {entry.pw_name!r}, but we run as uid {os.geteuid()} and only root can start "
            "programs as somebody else: leave browser.user empty or start as root"
        )
    groups = tuple(sorted(set(os.getgrouplist(entry.pw_name, entry.pw_gid))))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, Path(entry.pw_dir))


def of_uid(uid: int) -> Account:
    """Return the account with that number, to say who something belongs to."""
    entry = _entry_of_uid(uid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, (entry.pw_gid,), Path(entry.pw_dir))


def _entry_of_uid(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        name = str(uid)
        home = os.environ.get("HOME") or "/"
        return pwd.struct_passwd((name, "x", uid, os.getegid(), "", home, "/bin/sh"))
