"""What the gate says of itself is so: against the file, in every state, and in words."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.scaletozero.commands import Command, LeaseLimitError, Outcome, WriteResult
from plugins.scaletozero.evidence import Sleep, gather
from plugins.scaletozero.gate_controller import WriteReport
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind
from plugins.scaletozero.snapshot import Gate
from plugins.scaletozero.status_text import duration, render
from tests.scaletozero.gated_server import WRITTEN, gated

FILE = Path("/gate")
KEYS = [PIN, *(HoldKey(kind, f"{kind}-{n}") for kind in HoldKind if kind is not HoldKind.PIN for n in "ab")]

steps = st.one_of(
    st.tuples(st.just("acquire"), st.sampled_from(KEYS)),
    st.tuples(st.just("release"), st.sampled_from(KEYS)),
    st.tuples(st.just("pass"), st.floats(0, 40)),
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.just("finish"), st.sampled_from(["works", "fails"])),
)


@given(st.lists(steps, max_size=60), st.sampled_from([0.0, 1.0]))
def test_evidence_agrees_with_the_file_and_the_holds(script: list[tuple[str, Any]], cooldown: float) -> None:
    state, now, counter, last = GateState(cooldown=cooldown), 1000.0, 0, None
    in_flight: Command | None = None
    for step, value in script:
        if step == "acquire":
            ttl = 20.0 if value.kind is HoldKind.LEASE else None
            try:
                state.acquire(value, now, label="why", ttl=ttl)
            except LeaseLimitError:
                raise AssertionError("there are fewer leases than that") from None
        elif step == "release":
            state.release(value, now)
        elif step == "pass":
            now += value
        elif step == "begin" and in_flight is None:
            in_flight = state.begin_write(now)
        elif step == "finish" and in_flight is not None:
            outcome = Outcome(WriteResult.WRITTEN) if value == "works" else Outcome(WriteResult.FAILED, "EIO")
            counter += {"+": 1, "-": -1}[in_flight.value] if value == "works" else 0
            state.finish_write(outcome, now)
            last = WriteReport(in_flight, outcome, 0.001, state.snapshot(now))
            in_flight = None
        state.take_answers()
        snapshot = state.snapshot(now)
        evidence = gather(snapshot, last, FILE)
        assert (evidence.actual is Sleep.AWAKE) == (counter == 1)
        assert (evidence.wanted is Sleep.AWAKE) == bool(evidence.holds)
        assert evidence.pinned == any(hold.kind is HoldKind.PIN for hold in evidence.holds)
        assert evidence.pending == sum(hold.kind is HoldKind.SESSION for hold in evidence.holds)
        assert (evidence.in_flight.command if evidence.in_flight else None) == (in_flight and in_flight.value)
        assert [hold.age_seconds for hold in evidence.holds] == sorted(
            (hold.age_seconds for hold in evidence.holds), reverse=True
        )
        assert all(hold.age_seconds >= 0 for hold in evidence.holds)
        assert all(
            (hold.seconds_left is not None) == (hold.kind is HoldKind.LEASE) for hold in evidence.holds
        )
        assert (evidence.last_error is not None) >= (evidence.gate is Gate.FAILING)
        assert evidence.summary.startswith("Awake") == bool(evidence.holds)
        text = "\n".join(render(evidence.model_dump(mode="json")))
        assert evidence.summary in text
        assert evidence.gate in text


async def test_each_state_over_http(tmp_path: Path) -> None:
    async with gated(tmp_path, cooldown=3600) as gate, gate.client() as client:

        async def told(**expected: object) -> dict[str, Any]:
            evidence = await gate.evidence()
            assert {name: evidence[name] for name in expected} == expected
            return evidence

        nothing = await told(
            gate="released", wanted="may_sleep", actual="may_sleep", pinned=False, holds=[], last_write=None
        )
        assert nothing["summary"] == "May sleep: nothing of ours holds the machine awake."

        gate.break_file()
        ann, _ = gate.server.log_in("Ann")
        await gate.server.connect(ann)
        failing = await told(gate="failing", wanted="awake", actual="may_sleep", pending=1)
        assert "Is a directory" in failing["last_error"]["message"]
        assert failing["last_error"]["attempts"] >= 1
        assert failing["last_write"]["result"] == "failed"
        assert failing["summary"].endswith("so it may sleep all the same.")

        gate.mend_file()
        await gate.wrote("+")
        held = await told(gate="held", wanted="awake", actual="awake", last_error=None)
        [hold] = held["holds"]
        assert (hold["kind"], hold["id"], hold["label"]) == ("session", ann.id, "Ann")
        assert held["last_write"]["command"] == "+"
        assert held["summary"] == "Awake: 1 session is connected."

        await client.post("/scaletozero/disable")
        await client.put("/scaletozero/leases/job", json={"ttl_seconds": 60, "reason": "export"})
        both = await told(pinned=True, pending=1)
        assert [hold["kind"] for hold in both["holds"]] == ["session", "pin", "lease"]
        assert both["holds"][2]["label"] == "export"
        assert both["summary"] == "Awake: 1 session is connected, 1 lease runs and it is pinned."

        gate.server.sessions.disconnect(ann.id, "gone")
        await client.post("/scaletozero/enable")
        await client.delete("/scaletozero/leases/job")
        cooling = await told(gate="cooldown", wanted="may_sleep", actual="awake")
        assert 3500 < cooling["cooldown_left_seconds"] <= 3600
        assert cooling["awake_seconds"]["session"] > 0
        assert cooling["awake_seconds"]["request"] == 0


async def test_a_minus_that_fails_is_told(tmp_path: Path) -> None:
    async with gated(tmp_path, cooldown=0.01) as gate, gate.client() as client:
        await client.post("/scaletozero/disable")
        gate.break_file()
        await client.post("/scaletozero/enable")
        async with asyncio.timeout(WRITTEN):
            while (evidence := await gate.evidence())["gate"] != "failing":
                await asyncio.sleep(0.01)
        assert (evidence["wanted"], evidence["actual"]) == ("may_sleep", "awake")
        assert "stays awake" in str(evidence["summary"])
        gate.mend_file()
        await gate.wrote("+-")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0004, "0.4 ms"),
        (3.21, "3.2 s"),
        (125, "2 min 5 s"),
        (3780, "1 h 3 min"),
        (59.99, "60.0 s"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
