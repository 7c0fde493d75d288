"""Running a program for a moment, as the account that would run it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamserver.desktop.account import Account


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    status: int | None
    """Exit status; None when the deadline ended it."""
    output: str
    """Standard output and error, together."""

    @property
    def last_line(self) -> str:
        """The last line that says something."""
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")


def find_program(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name)


def run(
    command: Sequence[str], account: Account, *, deadline: float, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run a command as the account in a process group of its own, for at most `deadline` seconds.

    Whatever is left of the group is killed. A program that cannot be started is status 127.
    """
    variables = {"PATH": os.environ.get("PATH", ""), "HOME": str(account.home), "LANG": "C.UTF-8"}
    ours = account.is_ourselves
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables | dict(environment or {}),
            cwd="/",
            start_new_session=True,
            user=None if ours else account.uid,
            group=None if ours else account.gid,
            extra_groups=None if ours else account.groups,
        )
    except OSError as error:
        return Outcome(127, str(error))
    try:
        output, _ = process.communicate(timeout=deadline)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        _kill_group(process)
        output, _ = process.communicate()
        status = None
    finally:
        _kill_group(process)
    return Outcome(status, output.decode("utf-8", "replace"))


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the group that the process led."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
