"""The host agent as an operator runs it: its own process, directories, cgroup; `catnap host` speaks to it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.waiting import wait_until

CATNAP = Path(sys.executable).with_name("catnap")


class RunningAgent:
    """One agent in the tests' own network; on exit it is brought down with its instances."""

    def __init__(self) -> None:
        self.group = f"catnap-e2e-{os.getpid()}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            name = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="catnap-host-", dir="/var/tmp", ignore_cleanup_errors=True)
            )
            self.directory = Path(name)
            self.directory.chmod(0o755)
            self._log = stack.enter_context((self.directory / "log").open("wb"))
            self._process = subprocess.Popen(
                [
                    *(CATNAP, "host", "--run-dir", self._run_dir, "agent"),
                    *(f"--data_dir={self.directory / 'data'}", f"--process.group={self.group}"),
                ],
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(self._kill)
            wait_until(self._answers, within=20, what="the agent answers")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(f"--- log of the agent\n{self.log[-8000:]}\n")
            for row in self.json("ls"):
                sys.stderr.write(f"--- {self.host('why', row['name'])}\n")
        try:
            self.host("down", "--rm", "--yes")
            self._process.wait(20)
        finally:
            self._stack.close()

    @property
    def _run_dir(self) -> Path:
        return self.directory / "run"

    @property
    def log(self) -> str:
        """Everything the agent has logged."""
        return (self.directory / "log").read_text(errors="replace")

    def host(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """Run `catnap host WORDS` and return what it prints."""
        done = subprocess.run(
            [CATNAP, "host", "--run-dir", self._run_dir, *words],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"catnap host {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run `catnap host WORDS --json` and return what it prints, read."""
        return json.loads(self.host(*words, "--json"))

    def instance(self, name: str) -> dict[str, Any]:
        """Return one row of `catnap host ls`."""
        found: list[dict[str, Any]] = [row for row in self.json("ls") if row["name"] == name]
        (row,) = found
        return row

    def level(self, name: str) -> str:
        """Return how deep an instance sleeps."""
        return str(self.instance(name)["level"])

    def processes(self) -> list[psutil.Process]:
        """Return what runs in the instances."""
        found = []
        for process in psutil.process_iter():
            try:
                if f"/{self.group}/" in Path(f"/proc/{process.pid}/cgroup").read_text():
                    found.append(process)
            except OSError:
                continue
        return found

    def cpu(self) -> float:
        """Return the CPU seconds of the instances' processes so far, by the scheduler's own clock."""
        total = 0
        for process in self.processes():
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"the agent ended:\n{self.log}"
        return (self._run_dir / "agent.sock").exists()

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
