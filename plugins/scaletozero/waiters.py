"""Callers who wait for a write: who is to be told what, and what a failed write undoes."""

import enum
import itertools
from dataclasses import dataclass
from typing import NewType

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.holds import Hold, HoldKey

Ticket = NewType("Ticket", int)
"""Names one waiting caller."""


class Awaits(enum.Enum):
    """What a caller waits for."""

    RAISED = enum.auto()
    """Our `+` to be in force."""
    LOWERED = enum.auto()
    """Our `-` to be written."""
    DRAINED = enum.auto()
    """Nothing of ours to be in force any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a waiting caller is told."""

    ticket: Ticket
    error: GateWriteError | None = None


@dataclass(slots=True)
class _Waiter:
    awaits: Awaits
    placed: Hold | None
    previous: Hold | None


class Waiters:
    """The waiting callers, and the answers that have not been collected yet."""

    def __init__(self, holds: dict[HoldKey, Hold]) -> None:
        """Take the gate's holds: a failed write withdraws from them what it was for."""
        self._holds = holds
        self._waiting: dict[Ticket, _Waiter] = {}
        self._answers: list[Answer] = []
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._waiting)

    def add(self, awaits: Awaits, *, placed: Hold | None = None, previous: Hold | None = None) -> Ticket:
        """Let a caller wait.

        Args:
            awaits: for what.
            placed: the hold that goes again when the write fails.
            previous: the hold that comes back then.
        """
        ticket = Ticket(next(self._numbers))
        self._waiting[ticket] = _Waiter(awaits, placed, previous)
        return ticket

    def add_answered(self) -> Ticket:
        """Give a caller who need not wait a ticket all the same."""
        ticket = Ticket(next(self._numbers))
        self._answers.append(Answer(ticket))
        return ticket

    def any(self, awaits: Awaits) -> bool:
        """Return whether anybody waits for that."""
        return any(waiter.awaits is awaits for waiter in self._waiting.values())

    def succeed(self, awaits: Awaits) -> None:
        """Tell all who wait for that that it is so."""
        for ticket in self._tickets(awaits):
            del self._waiting[ticket]
            self._answers.append(Answer(ticket))

    def fail(self, awaits: Awaits, error: GateWriteError) -> None:
        """Tell all who wait for that that it failed, the newest first, and undo what it was for."""
        for ticket in reversed(self._tickets(awaits)):
            self.withdraw(ticket)
            self._answers.append(Answer(ticket, error))

    def withdraw(self, ticket: Ticket) -> bool:
        """End one wait and undo what it was for; false when it has been answered already."""
        waiter = self._waiting.pop(ticket, None)
        if waiter is None:
            return False
        self._undo(waiter)
        return True

    def take_answers(self) -> list[Answer]:
        """Return the answers since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def forget_holds(self) -> None:
        """Let no failure bring a hold back any more."""
        for waiter in self._waiting.values():
            waiter.placed = waiter.previous = None

    def _tickets(self, awaits: Awaits) -> list[Ticket]:
        return [ticket for ticket, waiter in self._waiting.items() if waiter.awaits is awaits]

    def _undo(self, waiter: _Waiter) -> None:
        placed, previous = waiter.placed, waiter.previous
        if placed is None:
            if previous is not None:
                self._holds.setdefault(previous.key, previous)
            return
        if self._holds.get(placed.key) is placed:
            del self._holds[placed.key]
            if previous is not None:
                self._holds[placed.key] = previous
        for other in self._waiting.values():
            if other.previous is placed:  # nobody may bring back what has just been withdrawn
                other.previous = previous
