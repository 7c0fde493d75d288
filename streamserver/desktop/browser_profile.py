"""The browser's profile directory, made ready for a start without questions."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.xserver import write_private
from streamserver.logs import get_logger

DEFAULT = Path(".local/share/catnap/profile")
"""Where the profile is kept, within the user's home."""
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_SINGLETON = ("SingletonLock", "SingletonSocket", "SingletonCookie")
_CLEAN = {"exit_type": "Normal", "exited_cleanly": True}
_MAX_PREFERENCES = 64 * 1024 * 1024

log = get_logger("desktop")


class BrowserProfile:
    """A profile directory that is ours until `release`."""

    def __init__(self, account: Account, directory: Path) -> None:
        """Take whose it is and where."""
        self.directory = directory
        self._account = account
        self._lock: int | None = None

    def claim(self) -> None:
        """Create the directory when it is missing and keep every other server off it.

        Raises:
            DesktopError: it cannot be created, or another server uses it.
        """
        try:
            with self._account.file_access():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(self.directory / "catnap.lock", _LOCK_FLAGS, 0o600)
        except OSError as error:
            raise DesktopError(
                f"browser.profile_dir {self.directory} cannot be used by {self._account.name}: {error}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise DesktopError(
                f"browser.profile_dir {self.directory} is in use by another catnap: stop that one or give "
                "this one a directory of its own"
            ) from None
        self._lock = lock

    def release(self) -> None:
        """Let others use the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def prepare(self) -> None:
        """Remove what an unclean end left: the single-instance lock and the offer to restore pages.

        The claim makes this safe: no other server runs a browser here, and ours has ended.
        """
        with self._account.file_access():
            for name in _SINGLETON:
                with contextlib.suppress(OSError):
                    (self.directory / name).unlink()
        for name in self._profiles():
            self._mark_clean(self.directory / name / "Preferences")

    def _profiles(self) -> list[str]:
        with self._account.file_access(), contextlib.suppress(OSError):
            return [path.parent.name for path in self.directory.glob("*/Preferences")]
        return []

    def _mark_clean(self, path: Path) -> None:
        try:
            with self._account.file_access():
                if not path.is_file() or path.stat().st_size > _MAX_PREFERENCES:
                    return
                content = path.read_bytes()
            changed = marked_clean(content)
            if changed is not None:
                write_private(self._account, path, changed)
        except OSError as error:
            log.warning("cannot mark the browser's profile as clean", path=str(path), error=str(error))


def marked_clean(preferences: bytes) -> bytes | None:
    """Return Chromium's Preferences as after a clean exit; None when they say so already or make no sense."""
    try:
        content = json.loads(preferences)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    profile = content.setdefault("profile", {})
    if not isinstance(profile, dict) or all(profile.get(key) == value for key, value in _CLEAN.items()):
        return None
    profile.update(_CLEAN)
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
