"""Processes that load a server or watch it, spoken to by lines."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.load.priority import LOADING, put_first

QUIT_DEADLINE = 10.0


class Helper:
    """`python -m MODULE ARGUMENTS`, which answers each line of its input with a line of JSON."""

    def __init__(self, module: str, *arguments: object, priority: int) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        put_first(self._process.pid, priority)

    def answer(self) -> Any:
        """Return the next line it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self._module} ended with {self._process.wait()}"
        return json.loads(line)

    def tell(self, *words: object) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def ask(self, *words: object) -> Any:
        """Send one line and return what is answered."""
        self.tell(*words)
        return self.answer()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(QUIT_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(module: str, *arguments: object, priority: int = LOADING) -> Iterator[Helper]:
    """Run one until exit."""
    helper = Helper(module, *arguments, priority=priority)
    try:
        yield helper
    finally:
        helper.close()
