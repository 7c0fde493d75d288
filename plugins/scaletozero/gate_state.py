"""The gate's decisions: pure, without clock, I/O or thread.

Observations come in with the time (`now`: seconds of one monotonic clock); what to write comes out of
`begin_write`, when to look again out of `next_deadline`, what to tell waiting callers out of `take_answers`.
One writer moves *actual* (is our `+` in force?) to *wanted* (is there any hold?):

    released --hold--> [+] --written--> held --last release--> cooldown --over--> [-] --written--> released
"""

from __future__ import annotations

from plugins.scaletozero.commands import Command, GateWriteError, LeaseLimitError, Outcome, WriteResult
from plugins.scaletozero.holds import PIN, AwakeTime, Hold, HoldKey, HoldKind
from plugins.scaletozero.snapshot import Gate, GateSnapshot
from plugins.scaletozero.waiters import Answer, Awaits, Ticket, Waiters

FIRST_RETRY = 0.1
"""Seconds from a failed write to the next attempt; doubled each time."""
LONGEST_RETRY = 30.0
"""Seconds that the pause between attempts grows to; also how often an absent file is looked for."""
MOST_LEASES = 64
"""How many leases there may be at a time."""

AT_ONCE = float("-inf")


def retry_delay(failures: int) -> float:
    """Return the seconds between the n-th failed attempt in a row and the next one."""
    return min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(failures - 1, 32))


class GateState:
    """Holds, cooldown, back-off, and what the control file should say."""

    def __init__(self, *, cooldown: float, patience: float = 1.0) -> None:
        """Begin with nothing in force.

        Args:
            cooldown: seconds from the last release to `-`; 0 for at once.
            patience: seconds after which a write that does not return counts as failing.
        """
        self._cooldown = cooldown
        self._patience = patience
        self._holds: dict[HoldKey, Hold] = {}
        self._waiters = Waiters(self._holds)
        self._awake = AwakeTime()
        self._in_force = False
        self._in_flight: Command | None = None
        self._in_flight_since = 0.0
        self._cooldown_ends: float | None = None
        self._failures = 0
        self._retry_at: float | None = None
        self._last_error = ""
        self._absent = False
        self._overdue = False
        self._drained = False
        self._leased = False
        """Whether there may be holds that end by themselves: without, nothing has to be looked through."""

    def adopt(self, now: float) -> None:
        """Take over a `+` that an earlier run of ours wrote and did not take back."""
        self._advance(now)
        self._in_force = True
        self._settle(now)

    def acquire(self, key: HoldKey, now: float, *, label: str = "", ttl: float | None = None) -> Ticket:
        """Add a hold (again: a lease is renewed, a session unchanged) and cancel a pending `-`.

        The ticket is answered when our `+` is in force or there is no control file, or with an error when it
        could not be written. In that case the hold has been withdrawn, unless it is a session's: somebody is
        here.

        Raises:
            LeaseLimitError: one lease too many.
        """
        self._advance(now)
        if self._drained:
            return self._waiters.add_answered()
        before = self._holds.get(key)
        if key.kind is HoldKind.LEASE and before is None:
            self._check_lease_limit()
        if key.kind is HoldKind.SESSION:
            self._holds[key] = before or Hold(key, label, now)
            ticket = self._waiters.add(Awaits.RAISED)
        else:
            self._leased = self._leased or ttl is not None
            since = before.since if before else now
            hold = Hold(key, label, since, deadline=None if ttl is None else now + ttl)
            self._holds[key] = hold
            ticket = self._waiters.add(Awaits.RAISED, placed=hold, previous=before)
        self._settle(now)
        return ticket

    def release(self, key: HoldKey, now: float) -> Ticket:
        """Drop a hold (unknown: no change); the last one starts the cooldown.

        The ticket is answered at once, but for an unpin that has to write `-` itself (cooldown 0): that one
        waits for the write, and if it fails the pin is back.
        """
        self._advance(now)
        hold = self._holds.pop(key, None)
        lowers = not self._holds and (self._in_force or self._in_flight is Command.RAISE)
        if hold is not None and key == PIN and lowers and self._cooldown <= 0:
            ticket = self._waiters.add(Awaits.LOWERED, previous=hold)
        else:
            ticket = self._waiters.add_answered()
        self._settle(now)
        return ticket

    def give_up(self, ticket: Ticket, now: float) -> GateWriteError | None:
        """End a wait that took too long, and undo as if the write had failed.

        Returns the error for the caller; none when the ticket has been answered already (see `take_answers`).
        """
        self._advance(now)
        if not self._waiters.withdraw(ticket):
            return None
        reason = self._last_error if self._failures else "the control file did not take the write in time"
        self._overdue = True
        self._settle(now)
        return GateWriteError(reason)

    def drain(self, now: float) -> Ticket:
        """Forget every hold, take our `+` back without cooldown, and ignore all later holds.

        The ticket is answered when nothing of ours is in force. A failed write is retried until the caller
        gives up.
        """
        self._advance(now)
        self._holds.clear()
        self._waiters.forget_holds()
        self._drained = True
        ticket = self._waiters.add(Awaits.DRAINED)
        self._settle(now)
        return ticket

    def begin_write(self, now: float) -> Command | None:
        """Return the command to write now, if any; it is in flight until `finish_write`."""
        self._advance(now)
        self._settle(now)
        due = self._due_at()
        if due is None or due > now:
            return None
        self._in_flight = self._needed()
        self._in_flight_since = now
        self._retry_at = None
        return self._in_flight

    def finish_write(self, outcome: Outcome, now: float) -> None:
        """Take in how the write in flight ended."""
        self._advance(now)
        command, self._in_flight = self._in_flight, None
        assert command is not None, "no write was in flight"
        self._overdue = False
        match command, outcome.result:
            case _, WriteResult.WRITTEN:
                self._succeeded(in_force=command is Command.RAISE)
            case Command.LOWER, WriteResult.REFUSED:
                self._succeeded(in_force=False)
            case Command.RAISE, WriteResult.ABSENT:
                self._succeeded(in_force=False)
                self._absent = True
                self._retry_at = now + LONGEST_RETRY
                self._waiters.succeed(Awaits.RAISED)
            case _:
                self._failed(command, outcome.error or outcome.result.value, now)
        self._settle(now)

    def next_deadline(self) -> float | None:
        """Return when to look again if nothing happens (in the past: at once); none: no need."""
        due = self._due_at()
        if not self._leased:
            return due
        times = [hold.deadline for hold in self._holds.values() if hold.deadline is not None]
        return min(times if due is None else [*times, due], default=None)

    def take_answers(self) -> list[Answer]:
        """Return what waiting callers are to be told, each once."""
        return self._waiters.take_answers()

    def snapshot(self, now: float) -> GateSnapshot:
        """Return everything there is to tell."""
        self._awake.count((key.kind for key in self._holds), now)
        return GateSnapshot(
            at=now,
            gate=self._gate(now),
            holds=tuple(self._holds.values()),
            in_force=self._in_force,
            in_flight=self._in_flight,
            in_flight_seconds=now - self._in_flight_since if self._in_flight else 0.0,
            absent=self._absent,
            cooldown_left=None if self._cooldown_ends is None else max(0.0, self._cooldown_ends - now),
            failures=self._failures,
            last_error=self._last_error,
            retry_in=None if self._retry_at is None else max(0.0, self._retry_at - now),
            awake_seconds=self._awake.totals,
            drained=self._drained,
        )

    def _gate(self, now: float) -> Gate:
        stuck = self._in_flight is not None and now - self._in_flight_since >= self._patience
        if self._failures or self._overdue or stuck:
            return Gate.FAILING
        if self._holds:
            return Gate.RELEASED if self._absent else Gate.HELD
        return Gate.COOLDOWN if self._busy else Gate.RELEASED

    @property
    def _busy(self) -> bool:
        return self._in_force or self._in_flight is not None

    def _advance(self, now: float) -> None:
        """Let time pass: count it, and end leases."""
        self._awake.count((key.kind for key in self._holds), now)
        if self._leased:
            for key, hold in list(self._holds.items()):
                if hold.deadline is not None and hold.deadline <= now:
                    del self._holds[key]

    def _needed(self) -> Command | None:
        if self._in_flight is not None or bool(self._holds) == self._in_force:
            return None
        return Command.RAISE if self._holds else Command.LOWER

    def _due_at(self) -> float | None:
        """Return when the needed command may be written; back-off does not apply to a caller who waits."""
        needed = self._needed()
        if needed is None:
            return None
        awaited = Awaits.RAISED if needed is Command.RAISE else Awaits.LOWERED
        if self._waiters and self._waiters.any(awaited):
            return AT_ONCE
        retry_at = AT_ONCE if self._retry_at is None else self._retry_at
        if needed is Command.RAISE or self._drained or self._cooldown_ends is None:
            return retry_at
        return max(retry_at, self._cooldown_ends)

    def _settle(self, now: float) -> None:
        """Bring cooldown, back-off and waiters in line with what is wanted and what is in force."""
        if self._holds or not self._busy:
            self._cooldown_ends = None
        elif self._cooldown_ends is None:
            self._cooldown_ends = now + self._cooldown
        if self._needed() is None and self._in_flight is None:
            self._failures = 0
            self._retry_at = None
            self._overdue = False
        if self._waiters:
            self._settle_waiters()

    def _settle_waiters(self) -> None:
        if self._in_force and self._in_flight is None:
            self._waiters.succeed(Awaits.RAISED)
        if not self._holds and self._in_flight is not Command.RAISE:
            self._waiters.succeed(Awaits.RAISED)
        if not self._busy or (self._holds and self._in_flight is not Command.LOWER):
            self._waiters.succeed(Awaits.LOWERED)
        if not self._busy:
            self._waiters.succeed(Awaits.DRAINED)

    def _succeeded(self, *, in_force: bool) -> None:
        self._in_force = in_force
        self._failures = 0
        self._retry_at = None
        self._last_error = ""
        self._absent = False

    def _failed(self, command: Command, reason: str, now: float) -> None:
        self._failures += 1
        self._last_error = reason
        self._retry_at = now + retry_delay(self._failures)
        awaited = Awaits.RAISED if command is Command.RAISE else Awaits.LOWERED
        self._waiters.fail(awaited, GateWriteError(reason))

    def _check_lease_limit(self) -> None:
        leases = sum(key.kind is HoldKind.LEASE for key in self._holds)
        if leases >= MOST_LEASES:
            raise LeaseLimitError(f"there are {MOST_LEASES} leases already; drop one or let one end")
