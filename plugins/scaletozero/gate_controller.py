"""The gate at work: a mutex around `GateState`, and one thread that writes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Protocol

from plugins.scaletozero.commands import Command, ControlFileError, GateWriteError, Outcome, WriteResult
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import HoldKey
from plugins.scaletozero.marker import Marker
from plugins.scaletozero.snapshot import GateSnapshot
from plugins.scaletozero.steady_clock import SteadyClock
from plugins.scaletozero.waiters import Ticket
from streamserver.logs import get_logger

log = get_logger("scaletozero")

NEVER = float("inf")


class CommandWriter(Protocol):
    """What the writer thread writes to; see `ControlFile`."""

    def write(self, command: Command) -> WriteResult:
        """Write one command; may block. Raises `ControlFileError`."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """One write that has ended."""

    command: Command
    outcome: Outcome
    seconds: float
    """How long the write took."""
    after: GateSnapshot
    """The gate just after it."""
    ended_at: float = field(default_factory=time.time)
    """When it ended, for people: seconds of the wall clock since 1970."""


class Pending:
    """A caller's wait for the file: look away, or wait with `wait` (threads) or `waited` (asyncio)."""

    def __init__(
        self, controller: GateController, ticket: Ticket, future: Future[None], timeout: float
    ) -> None:
        self._controller = controller
        self._ticket = ticket
        self._future = future
        self._timeout = timeout

    def wait(self) -> None:
        """Block this thread until the write is done.

        Raises:
            GateWriteError: it failed or took too long; what was asked for is undone (a session's hold stays).
        """
        try:
            self._future.result(self._timeout)
        except TimeoutError:
            self._controller._give_up(self._ticket)
            self._future.result()

    async def waited(self) -> None:
        """Do the same on an event loop. Cancelled, it undoes what was asked for (a session's hold stays).

        Raises:
            GateWriteError: as `wait`.
        """
        if not self._future.done():
            waiting = asyncio.wrap_future(self._future)
            try:
                await asyncio.wait({waiting}, timeout=self._timeout)
            finally:
                if not waiting.done():
                    self._controller._give_up(self._ticket)
                waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._future.result()


class GateController:
    """Takes holds from any thread or loop; its own thread moves the file to where they want it.

    The mutex is held for microseconds and never across I/O: a file that blocks stalls the writer thread only.
    """

    def __init__(
        self,
        state: GateState,
        file: CommandWriter,
        marker: Marker,
        *,
        write_timeout: float,
        drain_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put the parts together; nothing runs before `start`.

        Args:
            state: the decisions.
            file: what is written to.
            marker: told before and after each write.
            write_timeout: seconds a caller waits for a write.
            drain_timeout: seconds the caller of `drain` waits.
            clock: seconds of CLOCK_MONOTONIC. It stands still while the machine is suspended, so that the
                cooldown goes on where it was, and runs on while only this process is frozen.
        """
        self._state = state
        self._file = file
        self._marker = marker
        self._write_timeout = write_timeout
        self._drain_timeout = drain_timeout
        self._observers: list[Callable[[WriteReport], None]] = []
        self._clock = SteadyClock(clock)
        """Asked with the mutex held."""
        self._stopwatch = clock
        self._changed = threading.Condition()
        self._futures: dict[Ticket, Future[None]] = {}
        self._wakes_at = -NEVER
        self._closing = False
        self._last_write: WriteReport | None = None
        self._thread = threading.Thread(target=self._run, name="scaletozero-writer", daemon=True)

    def start(self) -> None:
        """Start the writer. It is a daemon: a write that never returns does not keep the process alive."""
        self._thread.start()

    def on_write(self, observer: Callable[[WriteReport], None]) -> None:
        """Call `observer` after each write, on the writer's thread; to be said before `start`."""
        self._observers.append(observer)

    def adopt(self) -> None:
        """Take over a `+` that an earlier run left in force."""
        with self._changed:
            now = self._clock()
            self._state.adopt(now)
            self._wake_if_due(now)

    def acquire(self, key: HoldKey, *, label: str = "", ttl: float | None = None) -> Pending:
        """Add a hold, at once; wait on what is returned to know that the file says so.

        Raises:
            LeaseLimitError: one lease too many.
        """
        return self._ask(lambda now: self._state.acquire(key, now, label=label, ttl=ttl), self._write_timeout)

    def release(self, key: HoldKey) -> Pending:
        """Drop a hold, at once; only an unpin without cooldown has something to wait for."""
        return self._ask(lambda now: self._state.release(key, now), self._write_timeout)

    def drain(self) -> Pending:
        """Forget all holds and take our `+` back; later holds are ignored."""
        return self._ask(self._state.drain, self._drain_timeout)

    def snapshot(self) -> GateSnapshot:
        """Return why the machine is awake or may sleep."""
        with self._changed:
            return self._state.snapshot(self._clock())

    @property
    def last_write(self) -> WriteReport | None:
        """The write that ended last; none before the first."""
        with self._changed:
            return self._last_write

    def close(self) -> None:
        """Let the writer end, after the write it is in; what is not written by then stays unwritten."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the writer to end; return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _ask(self, ask: Callable[[float], Ticket], timeout: float) -> Pending:
        future: Future[None] = Future()
        with self._changed:
            now = self._clock()
            ticket = ask(now)
            self._futures[ticket] = future
            answers = self._collect()
            self._wake_if_due(now)
        _tell(answers)
        return Pending(self, ticket, future, timeout)

    def _give_up(self, ticket: Ticket) -> None:
        """Make sure that the ticket's future is answered, with an error if nothing better is known."""
        with self._changed:
            now = self._clock()
            error = self._state.give_up(ticket, now)
            answers = self._collect()
            if error is not None:
                answers.append((self._futures.pop(ticket), error))
            self._wake_if_due(now)
        _tell(answers)

    def _collect(self) -> list[tuple[Future[None], GateWriteError | None]]:
        return [(self._futures.pop(answer.ticket), answer.error) for answer in self._state.take_answers()]

    def _wake_if_due(self, now: float) -> None:
        """Wake the writer for a deadline before its own, or a passed one: then the clock has jumped."""
        deadline = self._state.next_deadline()
        if deadline is not None and (deadline < self._wakes_at or deadline <= now):
            self._changed.notify()

    def _run(self) -> None:
        while (command := self._next_command()) is not None:
            self._marker.before(command)
            started = self._stopwatch()
            outcome = self._write(command)
            seconds = max(0.0, self._stopwatch() - started)
            self._marker.after(command, outcome.result)
            with self._changed:
                now = self._clock()
                self._state.finish_write(outcome, now)
                answers = self._collect()
                report = WriteReport(command, outcome, seconds, self._state.snapshot(now))
                self._last_write = report
            _tell(answers)
            self._report(report)

    def _next_command(self) -> Command | None:
        """Wait until something is to be written; none: the end."""
        while True:
            with self._changed:
                if self._closing:
                    return None
                now = self._clock()
                command = self._state.begin_write(now)
                answers = self._collect()
                if command is None and not answers:
                    deadline = self._state.next_deadline()
                    self._wakes_at = NEVER if deadline is None else deadline
                    self._changed.wait(None if deadline is None else max(0.0, deadline - now))
                    self._wakes_at = -NEVER
            _tell(answers)
            if command is not None:
                return command

    def _write(self, command: Command) -> Outcome:
        try:
            result = self._file.write(command)
        except ControlFileError as error:
            return Outcome(WriteResult.FAILED, str(error))
        except Exception as error:
            log.exception("control file writer broke")
            return Outcome(WriteResult.FAILED, repr(error))
        return Outcome(result, "the control file is gone" if result is WriteResult.ABSENT else "")

    def _report(self, report: WriteReport) -> None:
        for observer in self._observers:
            try:
                observer(report)
            except Exception:
                log.exception("write observer failed")


def _tell(answers: list[tuple[Future[None], GateWriteError | None]]) -> None:
    """Answer waiting callers; never called with the mutex held, since their callbacks run here."""
    for future, error in answers:
        try:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        except InvalidStateError:
            pass  # its caller was cancelled meanwhile
