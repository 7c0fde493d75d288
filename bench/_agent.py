"""The real host agent as a process in a network of its own, for benches."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from hostagent.client import AgentClient, AgentError, NoAgentError

DEADLINE = 60.0
"""Seconds that one step may take before the bench gives up."""
_CLONE_NEWNET = 0x40000000


def enter_own_network() -> None:
    """Move this process to a network of its own: nothing of the machine's is touched."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise SystemExit(f"no network of our own ({os.strerror(ctypes.get_errno())}): this bench needs root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def until(condition: Callable[[], object], what: str | Callable[[], str]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            missing = what if isinstance(what, str) else what()
            raise SystemExit(f"waited {DEADLINE:g} s in vain until {missing}")
        time.sleep(0.002)


def cpu_seconds(*pids: int) -> float:
    """Return the CPU time of processes so far, by the scheduler's own clock (nanoseconds)."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


class Agent:
    """One agent with directories of its own; `down` with all its instances on exit."""

    def __init__(self, name: str = "0") -> None:
        """`name` tells the agents of one bench apart."""
        self.group = f"catnap-bench-{os.getpid()}-{name}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="catnap-bench-", ignore_cleanup_errors=True)
                )
            )
            self.directory.chmod(0o755)
            run_dir, self._log = self.directory / "run", (self.directory / "log").open("wb")
            stack.enter_context(self._log)
            catnap = Path(sys.executable).with_name("catnap")
            self._process = subprocess.Popen(
                [
                    *(catnap, "host", "--run-dir", run_dir, "agent"),
                    *(f"--data_dir={self.directory / 'data'}", f"--process.group={self.group}"),
                    "--log.level=warning",
                ],
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(self._end)
            self._client = stack.enter_context(AgentClient(run_dir / "agent.sock"))
            until(self._answers, "the agent answers")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print((self.directory / "log").read_text(errors="replace")[-3000:], file=sys.stderr)
        try:
            self._client.call("POST", "/agent/down", {"remove": True})
            self._process.wait(10 * DEADLINE)  # some benches have a thousand instances
        finally:
            self._stack.close()

    @property
    def pid(self) -> int:
        """The agent's process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds of the agent and of the process that keeps the gate files."""
        return cpu_seconds(self.pid, *self._daemons())

    def create(
        self, name: str, command: Sequence[str], idle_timeout: str | None = None
    ) -> dict[str, JsonValue]:
        """Start an instance."""
        policy: JsonValue = {"enabled": True, "idle_timeout": idle_timeout} if idle_timeout else None
        body: JsonValue = {"name": name, "command": list(command), "auto_standby": policy}
        return self._object("POST", "/instances", body)

    def standby(self, name: str, level: str) -> None:
        """Put an instance to sleep and wait until it does."""

        refusal = [""]

        def falls_asleep() -> bool:
            try:
                self._object("POST", f"/instances/{name}/standby", {"level": level})
            except AgentError as error:
                if error.status != 409:
                    raise
                refusal[0] = str(error)
                return False  # the last wake is not in the books yet, or a flow is not over yet
            return True

        until(falls_asleep, lambda: f"{name} may sleep: {refusal[0]}")
        until(lambda: self.level(name) == level, f"{name} is {level}")

    def asleep(self) -> int:
        """Return how many instances sleep."""
        rows = self._client.call("GET", "/instances")
        assert isinstance(rows, list)
        return sum(isinstance(row, dict) and row["level"] in ("frozen", "reclaimed") for row in rows)

    def level(self, name: str) -> JsonValue:
        """Return how deep an instance sleeps."""
        return self.get(f"/instances/{name}")["level"]

    def refusal(self, level: str) -> str | None:
        """Return why the probe says that this machine cannot do a level, None when it can."""
        rows = self._client.call("GET", "/doctor")
        assert isinstance(rows, list)
        for row in rows:
            if isinstance(row, dict) and row["name"] == f"level {level}":
                return None if row["ok"] else str(row["found"])
        return "the agent has no such level"

    def get(self, path: str) -> dict[str, JsonValue]:
        """Return an object of the API."""
        return self._object("GET", path)

    def _object(self, method: str, path: str, body: JsonValue = None) -> dict[str, JsonValue]:
        answer = self._client.call(method, path, body)
        assert isinstance(answer, dict)
        return answer

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f"the agent ended:\n{(self.directory / 'log').read_text(errors='replace')}")
        try:
            self._client.call("GET", "/health")
        except NoAgentError:
            return False
        return True

    def _daemons(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes()
            except OSError:
                continue
            if b"hostagent.gatefile.daemon" in command and bytes(self.directory) in command:
                found.append(int(entry.parent.name))
        return found

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
