"""A gate in simulated time: the pure state, an obedient writer, and a control file made of a string."""

from plugins.scaletozero.commands import Command, GateWriteError, Outcome, WriteResult
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind
from plugins.scaletozero.snapshot import Gate, GateSnapshot
from plugins.scaletozero.waiters import Ticket


def session(name: str = "ann") -> HoldKey:
    return HoldKey(HoldKind.SESSION, name)


def request(name: str = "r1") -> HoldKey:
    return HoldKey(HoldKind.REQUEST, name)


def lease(name: str = "l1") -> HoldKey:
    return HoldKey(HoldKind.LEASE, name)


class SimulatedGate:
    def __init__(self, cooldown: float = 0.0) -> None:
        self.state = GateState(cooldown=cooldown)
        self.now = 1000.0
        self.written = ""
        """Commands the file took."""
        self.attempts = ""
        """Commands it was asked to take."""
        self.fails: set[Command] = set()
        self.absent = False
        self.counter_is_zero = False
        self.answers: dict[Ticket, GateWriteError | None] = {}

    def acquire(self, key: HoldKey, ttl: float | None = None) -> Ticket:
        return self._settled(self.state.acquire(key, self.now, ttl=ttl))

    def release(self, key: HoldKey) -> Ticket:
        return self._settled(self.state.release(key, self.now))

    def pin(self) -> Ticket:
        return self.acquire(PIN)

    def unpin(self) -> Ticket:
        return self.release(PIN)

    def drain(self) -> Ticket:
        return self._settled(self.state.drain(self.now))

    def ok(self, ticket: Ticket) -> bool:
        """Whether the caller was told that it worked; fails when he was told nothing."""
        return self.answers[ticket] is None

    def pass_time(self, seconds: float) -> None:
        """Look at the gate whenever it asked for it, for that many seconds."""
        end = self.now + seconds
        self.settle()
        while (deadline := self.state.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.settle()
        self.now = end
        self.settle()

    def settle(self) -> None:
        while (command := self.state.begin_write(self.now)) is not None:
            self.state.finish_write(self._take(command), self.now)
        self.collect()

    def collect(self) -> None:
        for answer in self.state.take_answers():
            assert answer.ticket not in self.answers, "answered twice"
            self.answers[answer.ticket] = answer.error

    @property
    def snapshot(self) -> GateSnapshot:
        return self.state.snapshot(self.now)

    @property
    def gate(self) -> Gate:
        return self.snapshot.gate

    def _settled(self, ticket: Ticket) -> Ticket:
        self.settle()
        return ticket

    def _take(self, command: Command) -> Outcome:
        self.attempts += command.value
        if self.absent:
            return Outcome(WriteResult.ABSENT)
        if command in self.fails:
            return Outcome(WriteResult.FAILED, "errno 5 EIO")
        if self.counter_is_zero and command is Command.LOWER:
            return Outcome(WriteResult.REFUSED)
        self.written += command.value
        return Outcome(WriteResult.WRITTEN)
