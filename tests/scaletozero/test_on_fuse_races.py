"""Races and clocks: the controller with its thread on a file that counts and blocks."""

import errno
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.control_file import ControlFile
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import PIN
from plugins.scaletozero.marker import NoMarker
from plugins.scaletozero.snapshot import Gate
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.scaletozero.simulated_gate import lease, request, session
from tests.waiting import wait_until

WITHIN = 10.0


@pytest.fixture(scope="module")
def mounted() -> Iterator[FuseControlFile]:
    with FuseControlFile() as file:
        yield file


@pytest.fixture
def file(mounted: FuseControlFile) -> FuseControlFile:
    mounted.reset()
    return mounted


class Clock:
    """A clock that goes on, stands still, or jumps."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._stopped_at: float | None = None

    def __call__(self) -> float:
        return (time.monotonic() if self._stopped_at is None else self._stopped_at) + self.ahead

    def stand_still(self) -> None:
        self._stopped_at = time.monotonic()

    def go_on(self) -> None:
        assert self._stopped_at is not None
        self.ahead += self._stopped_at - time.monotonic()
        self._stopped_at = None


Make = Callable[..., GateController]


@pytest.fixture
def make(file: FuseControlFile) -> Iterator[Make]:
    made: list[GateController] = []

    def make(
        cooldown: float = 0.0, write_timeout: float = WITHIN, clock: Clock | None = None
    ) -> GateController:
        gate = GateController(
            GateState(cooldown=cooldown, patience=write_timeout),
            ControlFile(file.path),
            NoMarker(),
            write_timeout=write_timeout,
            drain_timeout=WITHIN,
            clock=clock or time.monotonic,
        )
        gate.start()
        made.append(gate)
        return gate

    yield make
    file.unblock()
    for gate in made:
        gate.close()
        assert gate.join(WITHIN)


def test_a_timer_that_fires_after_it_was_cancelled_writes_nothing(make: Make, file: FuseControlFile) -> None:
    gate = make(cooldown=0.1)
    gate.acquire(session("ann")).wait()
    gate.release(session("ann"))
    with gate._changed:  # the timer fires while we are inside, and waits for us
        time.sleep(0.3)
        gate.acquire(session("bob"))
    gate.acquire(session("cat")).wait()
    assert gate.snapshot().gate is Gate.HELD
    assert file.attempts == "+"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hold_that_comes_while_minus_is_in_flight_gets_its_own_plus(
    make: Make, file: FuseControlFile, when: str
) -> None:
    gate = make()
    gate.acquire(session("ann")).wait()
    file.block(when="before" if when == "before" else "after")
    gate.release(session("ann"))
    wait_until(lambda: file.blocked, within=WITHIN, what="'-' is in flight")
    coming = gate.acquire(session("bob"))
    held = threading.Thread(target=coming.wait)
    held.start()
    held.join(0.1)
    assert held.is_alive(), "nobody is told that he is held while '-' may be counted"
    file.unblock()
    held.join(WITHIN)
    assert (file.taken, file.value) == ("+-+", 1)


def test_a_hold_that_comes_and_goes_while_minus_is_in_flight_writes_nothing(
    make: Make, file: FuseControlFile
) -> None:
    gate = make()
    gate.acquire(session("ann")).wait()
    file.block()
    gate.release(session("ann"))
    wait_until(lambda: file.blocked, within=WITHIN, what="'-' is in flight")
    gate.acquire(session("bob"))
    gate.release(session("bob"))
    file.unblock()
    wait_until(lambda: gate.snapshot().gate is Gate.RELEASED, within=WITHIN, what="the gate is released")
    assert (file.attempts, file.value) == ("+-", 0)


def test_a_release_while_plus_is_in_flight_is_followed_by_minus(make: Make, file: FuseControlFile) -> None:
    gate = make()
    file.block()
    gate.acquire(session())
    wait_until(lambda: file.blocked, within=WITHIN, what="'+' is in flight")
    gate.release(session())
    file.unblock()
    wait_until(lambda: file.taken == "+-", within=WITHIN, what="'-' follows")


def test_a_pin_whose_plus_comes_too_late_is_withdrawn_and_taken_back(
    make: Make, file: FuseControlFile
) -> None:
    gate = make(write_timeout=0.1)
    file.block()
    with pytest.raises(GateWriteError, match="in time"):
        gate.acquire(PIN).wait()
    file.unblock()
    wait_until(lambda: file.taken == "+-", within=WITHIN, what="'-' follows")
    assert gate.snapshot().holds == ()


def test_an_unpin_that_fails_stays_pinned_until_it_is_tried_again(make: Make, file: FuseControlFile) -> None:
    gate = make()
    gate.acquire(PIN).wait()
    file.fail(errno.EIO)
    with pytest.raises(GateWriteError, match="EIO"):
        gate.release(PIN).wait()
    file.fail(0)
    assert [hold.key for hold in gate.snapshot().holds] == [PIN]
    gate.release(PIN).wait()
    assert (file.taken, file.attempts) == ("+-", "+--")


def test_a_counter_that_somebody_set_to_0_is_believed(make: Make, file: FuseControlFile) -> None:
    gate = make()
    gate.acquire(session()).wait()
    file.path.write_text("=0")
    gate.release(session())
    wait_until(lambda: gate.snapshot().gate is Gate.RELEASED, within=WITHIN, what="the gate is released")
    assert (file.refused, file.value, file.attempts) == (1, 0, "+=0-")


def test_somebody_elses_holds_are_never_touched(make: Make, file: FuseControlFile) -> None:
    gate = make()
    file.path.write_text("+5")
    for _ in range(3):
        gate.acquire(session()).wait()
        assert file.value == 6
        gate.release(session())
        wait_until(lambda: file.value == 5, within=WITHIN, what="ours is taken back")
    gate.drain().wait()
    assert file.value == 5


def test_a_clock_that_steps_back_puts_no_deadline_off(make: Make, file: FuseControlFile) -> None:
    clock = Clock()
    gate = make(cooldown=0.2, clock=clock)
    gate.acquire(session()).wait()
    gate.acquire(lease(), ttl=0.2).wait()
    gate.release(session())
    clock.ahead -= 3600
    wait_until(lambda: file.taken == "+-", within=WITHIN, what="the lease and the cooldown end")


def test_a_clock_that_jumps_ahead_ends_the_cooldown_and_nothing_else(
    make: Make, file: FuseControlFile
) -> None:
    """As for a frozen process: CLOCK_MONOTONIC has run on."""
    clock = Clock()
    gate = make(cooldown=3600, clock=clock)
    gate.acquire(session()).wait()
    clock.ahead += 7200
    gate.acquire(request()).wait()
    gate.release(request())
    assert gate.snapshot().gate is Gate.HELD
    gate.release(session())
    clock.ahead += 3599
    gate.release(request())
    assert gate.snapshot().gate is Gate.COOLDOWN
    assert file.attempts == "+"
    clock.ahead += 2
    gate.release(request())
    wait_until(lambda: file.taken == "+-", within=WITHIN, what="the cooldown is over")


def test_while_the_clock_stands_still_the_cooldown_does_too(make: Make, file: FuseControlFile) -> None:
    """As for a suspended machine: CLOCK_MONOTONIC has stood still."""
    clock = Clock()
    gate = make(cooldown=0.2, clock=clock)
    gate.acquire(session()).wait()
    gate.release(session())
    clock.stand_still()
    time.sleep(0.5)
    assert file.attempts == "+"
    clock.go_on()
    wait_until(lambda: file.taken == "+-", within=WITHIN, what="the rest of the cooldown is over")
