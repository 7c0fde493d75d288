"""What a fuzzing target is, which there are, and where their corpus lies."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target, a file for each input."""
WORDS = Path(__file__).parent / "words"
"""A file for each target whose parser knows words, one a line: the fuzzer puts them in."""

TARGETS = (
    "candidate",
    "data_channel",
    "full_ice",
    "gate_file",
    "legacy_channel",
    "legacy_messages",
    "peer_description",
    "rtcp",
    "sctp",
    "session_description",
    "settings",
    "sound",
    "stun",
    "tcp_frames",
    "upload_form",
    "websocket",
)
"""Names of the modules in `targets`."""


class Target(Protocol):
    """A parser of ours with what is needed to feed it."""

    def feed(self, data: bytes) -> None:
        """Feed one input, of any bytes. Whatever this raises is a finding."""

    def close(self) -> None:
        """Give back what was opened."""


class TargetModule(Protocol):
    """A module in `targets`; its docstring says what is fed and what must hold."""

    MAX_LENGTH: int
    """Bytes of the longest input worth trying."""

    INSTRUMENTED: tuple[str, ...]
    """Modules and packages in which the fuzzer sees what an input reaches."""

    @staticmethod
    def open_target() -> Target:
        """Return it, ready."""

    @staticmethod
    def seeds() -> Mapping[str, bytes]:
        """Return good inputs by name; they are in the corpus too."""


def module_of(name: str) -> TargetModule:
    """Import a target's module."""
    return cast("TargetModule", importlib.import_module(f"tests.fuzzing.targets.{name}"))


def corpus_of(name: str) -> Iterator[Path]:
    """Return the files of a target's corpus, in order."""
    yield from sorted((CORPUS / name).iterdir())


def words_of(name: str) -> list[str]:
    """Return the words that a target's parser knows."""
    file = WORDS / name
    return file.read_text().split() if file.exists() else []


class OnLoop:
    """For targets that need an event loop: what fails in its tasks and callbacks fails the input."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._note)
        self._failures: list[BaseException] = []

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it, let the tasks it made begin, and raise what failed meanwhile."""

        async def run() -> None:
            await coroutine
            for _ in range(3):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        if self._failures:
            failure, *_ = self._failures
            self._failures.clear()
            raise failure

    def close(self) -> None:
        """End the tasks and close the loop."""
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=5))
        self.loop.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        failure = context.get("exception")
        self._failures.append(failure or AssertionError(context["message"]))
