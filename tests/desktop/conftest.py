"""A real X server, and a real Chromium as the user catnap, for the tests of the desktop."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamserver.desktop.account import Account, lookup


@pytest.fixture(scope="session")
def account() -> Account:
    """The user that X, sound and Chromium run as: not root, because Chromium's sandbox refuses it."""
    if os.geteuid() != 0:
        return lookup(None)
    try:
        pwd.getpwnam("catnap")
    except KeyError:
        pytest.skip("there is no user catnap (scripts/run creates it)")
    return lookup("catnap")


@pytest.fixture(scope="module")
def run_dir() -> Iterator[Path]:
    """A directory that another user may enter, which pytest's own temporary ones are not."""
    directory = Path(tempfile.mkdtemp(prefix="catnap-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def own_dir(account: Account) -> Iterator[Path]:
    """A private directory of that user."""
    directory = Path(tempfile.mkdtemp(prefix="catnap-test-own-"))
    os.chown(directory, account.uid, account.gid)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def require(*programs: str) -> None:
    """Skip when the machine lacks a program, and say which."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"missing: {', '.join(missing)}")
