"""A child process that runs as another user and never outlives us."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.logs import get_logger

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"
"""Where children find programs, when we have no PATH ourselves."""
STOP_GRACE = 5.0
"""Seconds that a program gets to end after it was asked to."""
TERM_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for a program that ignored a gentler signal."""
KILL_WAIT = 5.0
"""Seconds that the kernel gets to take a killed process away."""
MAX_LINE = 500
"""Characters of an output line that are logged."""
LINES_PER_SECOND = 20
"""Output lines of one child that are logged each second; the rest is counted."""
_READ_SIZE = 4096

log = get_logger("desktop")


def base_environment(account: Account, runtime_dir: Path) -> dict[str, str]:
    """Return the environment every child starts with: nothing of ours but PATH, language and time zone."""
    environment = {
        "PATH": os.environ.get("PATH") or PATH,
        "LANG": os.environ.get("LANG") or "C.UTF-8",
        "HOME": str(account.home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/sh",
        "XDG_RUNTIME_DIR": str(runtime_dir),
        # nobody may start a message bus behind our back: it would outlive the desktop
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
    }
    for name in ("LC_ALL", "LANGUAGE", "TZ"):
        if value := os.environ.get(name):
            environment[name] = value
    return environment


class ChildProcess:
    """One running program, in a session of its own."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
        """Use `start`."""
        self.name = name
        self._stop_signal = stop_signal
        self._process = process
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # a descriptor that becomes readable when the process itself ends; asyncio's own way also waits until
        # everybody who inherited its output has closed it, which a crashed browser's children may never do
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._exited)
        self._output = asyncio.create_task(self._log_output(), name=f"output of {name}")

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        account: Account,
        environment: Mapping[str, str],
        directory: Path,
        keep_open: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> "ChildProcess":
        """Start a program as that user, in that directory; `keep_open` are descriptors it inherits.

        `stop_signal` is what asks it to end. The kernel kills it when the calling thread ends.

        Raises:
            DesktopError: the program does not exist or cannot be started.
        """
        program = shutil.which(command[0], path=environment.get("PATH"))
        if program is None:
            raise DesktopError(f"cannot start {name}: there is no program {command[0]!r}")
        other = None if account.is_ourselves else account
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - a fork; what asyncio does, too
                [*_dying_with_us(), program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=directory,
                umask=0o077,
                start_new_session=True,
                pass_fds=keep_open,
                user=other.uid if other else None,
                group=other.gid if other else None,
                extra_groups=other.groups if other else None,
            )
        except OSError as error:
            raise DesktopError(f"cannot start {name} ({program}): {error}") from error
        log.debug("started", program=name, pid=process.pid, user=account.name)
        return cls(name, process, stop_signal)

    @property
    def pid(self) -> int:
        """Its process id, which is also its session's and its process group's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal's number when a signal ended it, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Return its exit code once it has ended; others that it started may still run."""
        await self._ended.wait()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End it and everything it started: ask, and after `grace` seconds use SIGKILL."""
        await self._ask(self._stop_signal, grace)
        if self._stop_signal != signal.SIGTERM:
            await self._ask(signal.SIGTERM, TERM_GRACE)
        self._kill_session()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), KILL_WAIT)
        self._output.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._output

    def _exited(self) -> None:
        self._process.poll()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set()

    async def _ask(self, number: signal.Signals, grace: float) -> None:
        if self.returncode is None:
            self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), grace)

    def _kill_session(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in session_members(self.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    async def _log_output(self) -> None:
        """Log what it prints, line by line, and never let it fill memory or the log."""
        assert self._process.stdout is not None
        reader = asyncio.StreamReader()
        transport, _protocol = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stdout
        )
        limiter = _LineLimiter(self._loop.time)
        rest = b""
        try:
            while chunk := await reader.read(_READ_SIZE):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._log_line(line, limiter)
                rest = rest[:MAX_LINE]
            self._log_line(rest, limiter)
        finally:
            transport.close()

    def _log_line(self, line: bytes, limiter: "_LineLimiter") -> None:
        text = line[: MAX_LINE * 4].decode(errors="replace").strip()[:MAX_LINE]
        if not text or not limiter.admits():
            return
        if limiter.dropped:
            log.debug("output left out", program=self.name, lines=limiter.take_dropped())
        log.debug("output", program=self.name, line=text)


def session_members(session: int) -> list[int]:
    """Return the processes of a session, process groups of their own included (proc(5), stat field 6)."""
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            members.append(int(entry.name))
    return members


class _LineLimiter:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._count = 0
        self.dropped = 0

    def admits(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > LINES_PER_SECOND:
            self.dropped += 1
            return False
        return True

    def take_dropped(self) -> int:
        dropped, self.dropped = self.dropped, 0
        return dropped


def _dying_with_us() -> list[str]:
    """Return the prefix that has the kernel kill the child when we are gone (prctl(2), PR_SET_PDEATHSIG).

    A program of its own does it because code between fork and exec is unsafe in a process with threads.
    """
    setpriv = shutil.which("setpriv", path=PATH)
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
