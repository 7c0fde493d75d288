"""The whole controller, with thread and marker, under concurrent callers, restarts and a misbehaving file.

`scripts/test --slow tests/scaletozero/test_gate_controller_machine.py` tries 10,000 stories.
"""

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plugins.scaletozero.commands import Command, GateWriteError
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind
from plugins.scaletozero.marker import FileMarker, Legacy
from plugins.scaletozero.snapshot import Gate
from tests.scaletozero.flaky_file import FlakyFile, Mode
from tests.scaletozero.simulated_gate import lease, request, session
from tests.waiting import wait_until

CALLERS = 4
OPERATIONS = st.sampled_from(["come", "go", "request", "lease", "drop", "pin", "unpin", "breathe"])
BURST = st.lists(st.lists(OPERATIONS, max_size=6), min_size=CALLERS, max_size=CALLERS)
WRITE_TIMEOUT = 0.03


class WatchedState(GateState):
    """Remembers if it ever let a `-` begin while something held."""

    violated = False

    def begin_write(self, now: float) -> Command | None:
        command = super().begin_write(now)
        if command is Command.LOWER and self.snapshot(now).holds:
            self.violated = True
        return command


class GateControllerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.callers = ThreadPoolExecutor(CALLERS)
        self.here: set[HoldKey] = set()
        self.lock = threading.Lock()
        self.tampered = False
        self.directory = tempfile.TemporaryDirectory(prefix="catnap-marker-")

    @initialize(cooldown=st.sampled_from([0.0, 0.002]), counter=st.sampled_from([0, 2]))
    def begin(self, cooldown: float, counter: int) -> None:
        self.base = counter
        self.cooldown = cooldown
        self.file = FlakyFile(counter)
        self.start()

    def start(self) -> None:
        """Start a gate, as a server does in the boot in which another one ended without a drain."""
        self.state = WatchedState(cooldown=self.cooldown, patience=WRITE_TIMEOUT)
        self.marker = FileMarker(Path(self.directory.name), Path("/flaky"), "boot")
        self.marker.claim()
        self.gate = GateController(
            self.state, self.file, self.marker, write_timeout=WRITE_TIMEOUT, drain_timeout=5.0
        )
        legacy = self.marker.recover().legacy
        assert legacy is not Legacy.UNKNOWN, "no write was under way"
        if legacy is Legacy.OURS:
            self.gate.adopt()
        if not self.tampered:
            assert self.file.counter - self.base == (legacy is Legacy.OURS)
        self.gate.start()

    def stop(self) -> None:
        """End without a drain, after the write under way."""
        self.gate.close()
        assert self.gate.join(5)
        self.marker.release()

    @rule(mode=st.sampled_from(Mode))
    def the_file_changes(self, mode: Mode) -> None:
        self.file.set_mode(mode)

    @rule(burst=BURST)
    def many_come_and_go(self, burst: list[list[str]]) -> None:
        for done in [self.callers.submit(self.call, n, operations) for n, operations in enumerate(burst)]:
            done.result()

    @rule()
    @precondition(lambda self: not self.tampered)
    def somebody_resets_the_counter(self) -> None:
        self.tampered = True
        self.file.reset()

    @rule()
    @precondition(lambda self: self.file.mode is not Mode.BLOCKS)
    def the_server_ends_without_a_drain_and_starts_again(self) -> None:
        self.stop()
        self.start()
        for key in self.here:
            self.gate.acquire(key)

    @rule()
    def time_passes(self) -> None:
        time.sleep(0.005)

    @rule()
    @precondition(lambda self: self.file.mode in (Mode.WORKS, Mode.SLOW))
    def a_file_that_works_is_brought_to_what_is_wanted(self) -> None:
        self.hold(request("newcomer"))
        assert self.gate.snapshot().in_force
        self.gate.release(request("newcomer"))
        wait_until(self.settled, within=5, what="the gate has settled")

    @invariant()
    def nothing_was_ever_wrong(self) -> None:
        if not hasattr(self, "file"):
            return
        written = self.file.written
        assert "++" not in written
        assert "--" not in written
        assert not written.startswith("-")
        assert not self.state.violated, "'-' while something held"
        snapshot = self.gate.snapshot()
        assert {hold.key for hold in snapshot.holds if hold.key.kind is HoldKind.SESSION} == self.here
        assert snapshot.pending == len(self.here) >= 0

    def teardown(self) -> None:
        if not hasattr(self, "gate"):
            self.callers.shutdown()
            self.directory.cleanup()
            return
        try:
            self.file.set_mode(Mode.WORKS)
            self.hold(request("last"))
            self.gate.drain().wait()
            assert self.gate.snapshot().gate is Gate.RELEASED
            assert self.tampered or self.file.counter == self.base
            self.gate.acquire(session()).wait()
            assert self.gate.snapshot().holds == ()
        finally:
            self.stop()
            self.callers.shutdown()
            self.directory.cleanup()

    def hold(self, key: HoldKey) -> None:
        """Hold for sure; on a busy machine the first wait may be too short."""

        def held() -> bool:
            try:
                self.gate.acquire(key).wait()
            except GateWriteError:
                return False
            return True

        wait_until(held, within=10, what="a request is held")

    def settled(self) -> bool:
        snapshot = self.gate.snapshot()
        return snapshot.in_flight is None and bool(snapshot.holds) == snapshot.in_force

    def call(self, caller: int, operations: list[str]) -> None:
        """One caller; its session, request and lease are its own, the pin is everybody's."""
        me = str(caller)
        for operation in operations:
            try:
                match operation:
                    case "come":
                        with self.lock:
                            self.here.add(session(me))
                        self.gate.acquire(session(me)).wait()
                    case "go":
                        self.gate.release(session(me)).wait()
                        with self.lock:
                            self.here.discard(session(me))
                    case "request":
                        self.gate.acquire(request(me)).wait()
                        self.gate.release(request(me)).wait()
                    case "lease":
                        self.gate.acquire(lease(me), ttl=0.004).wait()
                    case "drop":
                        self.gate.release(lease(me)).wait()
                    case "pin":
                        self.gate.acquire(PIN).wait()
                    case "unpin":
                        self.gate.release(PIN).wait()
                    case "breathe":
                        time.sleep(0.001)
            except GateWriteError:
                assert operation != "go"


QUICK = settings(
    max_examples=200, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
LONG = settings(QUICK, max_examples=10_000, stateful_step_count=20)

TestGateController = GateControllerMachine.TestCase
TestGateController.settings = QUICK


class LongGateControllerMachine(GateControllerMachine):
    """The same for hours of bad luck."""


TestGateControllerLong = pytest.mark.slow(pytest.mark.timeout(2 * 3600)(LongGateControllerMachine.TestCase))
TestGateControllerLong.settings = LONG
