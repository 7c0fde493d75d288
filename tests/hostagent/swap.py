"""A bounded swap file for a test, gone afterwards whatever becomes of the test."""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 512 << 20
"""Bytes of the file."""
# who holds it ends, by any means, and the guard sees the end of its input
_GUARD = 'swapon "$1" && echo on && read nothing; swapoff "$1"; rm -f "$1"'


@contextmanager
def swap_file(size: int = SIZE) -> Iterator[None]:
    """Have that much swap; skips, with the machine's answer, where it cannot be had."""
    path = Path(tempfile.gettempdir(), f"catnap-test-swap-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            os.posix_fallocate(file.fileno(), 0, size)
        made = subprocess.run(["mkswap", path], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no swap file can be made here: {made.stderr.strip()}")
        with subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as guard:  # fmt: skip
            assert guard.stdout
            assert guard.stderr
            assert guard.stdin
            try:
                if guard.stdout.readline() != "on\n":
                    pytest.skip(f"swap cannot be turned on here: {guard.stderr.readline().strip()}")
                yield
            finally:
                guard.stdin.close()
                guard.wait(60)
    finally:
        path.unlink(missing_ok=True)
