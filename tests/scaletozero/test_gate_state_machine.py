"""The pure gate under every order of events that hypothesis can think of."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plugins.scaletozero.commands import Command, GateWriteError, LeaseLimitError, Outcome, WriteResult
from plugins.scaletozero.gate_state import LONGEST_RETRY, GateState
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind
from plugins.scaletozero.snapshot import Gate
from plugins.scaletozero.waiters import Ticket
from tests.scaletozero.simulated_gate import lease, request, session

NAMES = st.sampled_from("abc")
SECONDS = st.sampled_from([0.0, 0.01, 0.5, 1.0, 5.0, 40.0])


class GateStateMachine(RuleBasedStateMachine):
    """Holds come and go while a write is, or is not, in flight; the file does what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.base = 3
        self.counter = self.base
        self.applied = ""
        self.in_flight: Command | None = None
        self.sessions: set[HoldKey] = set()
        self.waiting: set[Ticket] = set()
        self.answers: dict[Ticket, GateWriteError | None] = {}
        self.drained = False
        self.tampered = False
        self.state = GateState(cooldown=1.0)

    @initialize(cooldown=st.sampled_from([0.0, 1.0]))
    def begin(self, cooldown: float) -> None:
        self.state = GateState(cooldown=cooldown)

    @rule(name=NAMES)
    def session_comes(self, name: str) -> None:
        self.ask(self.state.acquire(session(name), self.now))
        if not self.drained:
            self.sessions.add(session(name))

    @rule(name=NAMES)
    def session_goes(self, name: str) -> None:
        self.ask(self.state.release(session(name), self.now))
        self.sessions.discard(session(name))

    @rule(name=NAMES)
    def request_comes(self, name: str) -> None:
        self.ask(self.state.acquire(request(name), self.now))

    @rule(name=NAMES)
    def request_goes(self, name: str) -> None:
        self.ask(self.state.release(request(name), self.now))

    @rule(name=NAMES, ttl=st.sampled_from([0.5, 3.0, 100.0]))
    def lease_comes(self, name: str, ttl: float) -> None:
        try:
            self.ask(self.state.acquire(lease(name), self.now, ttl=ttl))
        except LeaseLimitError:
            raise AssertionError("three leases are no 64") from None

    @rule(name=NAMES)
    def lease_goes(self, name: str) -> None:
        self.ask(self.state.release(lease(name), self.now))

    @rule()
    def pin(self) -> None:
        self.ask(self.state.acquire(PIN, self.now))

    @rule()
    def unpin(self) -> None:
        self.ask(self.state.release(PIN, self.now))

    @rule(data=st.data())
    @precondition(lambda self: self.waiting)
    def a_caller_gives_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        error = self.state.give_up(ticket, self.now)
        assert error is not None, "a waiting caller has not been answered"
        self.waiting.discard(ticket)
        self.collect()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    @precondition(lambda self: self.in_flight is None)
    def the_writer_looks(self) -> None:
        self.in_flight = self.state.begin_write(self.now)
        if self.in_flight is Command.LOWER:
            assert not self.state.snapshot(self.now).holds, "'-' while somebody holds"
        self.collect()

    @rule(result=st.sampled_from(WriteResult))
    @precondition(lambda self: self.in_flight is not None)
    def the_write_ends(self, result: WriteResult) -> None:
        self.finish(result)

    @rule()
    def somebody_resets_the_counter(self) -> None:
        self.base = self.counter = 0
        self.tampered = True

    @rule()
    @precondition(lambda self: len(self.applied) > 1)
    def drain(self) -> None:
        self.ask(self.state.drain(self.now))
        self.drained = True
        self.sessions.clear()

    @invariant()
    def commands_alternate(self) -> None:
        assert "++" not in self.applied
        assert "--" not in self.applied
        assert not self.applied.startswith("-")

    @invariant()
    def sessions_are_all_there(self) -> None:
        snapshot = self.state.snapshot(self.now)
        assert {hold.key for hold in snapshot.holds if hold.key.kind is HoldKind.SESSION} == self.sessions
        assert snapshot.pending == len(self.sessions) >= 0

    @invariant()
    def the_counter_is_raised_once_at_most(self) -> None:
        if not self.tampered:
            assert self.counter - self.base == self.applied.count("+") - self.applied.count("-") <= 1

    @invariant()
    def something_happens_next_unless_all_is_well(self) -> None:
        snapshot = self.state.snapshot(self.now)
        if bool(snapshot.holds) != snapshot.in_force and self.in_flight is None:
            assert self.state.next_deadline() is not None

    def teardown(self) -> None:
        """With a file that works and nobody here, we end where we began, and nobody waits for ever."""
        for hold in self.state.snapshot(self.now).holds:
            self.ask(self.state.release(hold.key, self.now))
        for _ in range(10):
            if self.in_flight is not None:
                self.finish(WriteResult.WRITTEN)
            for hold in self.state.snapshot(self.now).holds:  # an unpin that failed is pinned again
                self.ask(self.state.release(hold.key, self.now))
            self.now += LONGEST_RETRY
            self.in_flight = self.state.begin_write(self.now)
            self.collect()
        assert self.in_flight is None
        assert self.state.snapshot(self.now).gate is Gate.RELEASED
        assert self.tampered or self.counter == self.base
        assert not self.waiting, "somebody waits for ever"

    def finish(self, result: WriteResult) -> None:
        command, self.in_flight = self.in_flight, None
        assert command is not None
        if result is WriteResult.REFUSED and not (command is Command.LOWER and self.counter == 0):
            result = WriteResult.FAILED
        if result is WriteResult.WRITTEN and command is Command.LOWER and self.counter == 0:
            result = WriteResult.REFUSED
        if result is WriteResult.WRITTEN:
            self.counter += 1 if command is Command.RAISE else -1
        if result in (WriteResult.WRITTEN, WriteResult.REFUSED):
            self.applied += command.value
        self.state.finish_write(Outcome(result, "errno 5 EIO"), self.now)
        self.collect()

    def ask(self, ticket: Ticket) -> None:
        self.waiting.add(ticket)
        self.collect()

    def collect(self) -> None:
        for answer in self.state.take_answers():
            assert answer.ticket in self.waiting, "answered twice, or after giving up"
            self.waiting.remove(answer.ticket)
            self.answers[answer.ticket] = answer.error


TestGateState = GateStateMachine.TestCase
TestGateState.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
