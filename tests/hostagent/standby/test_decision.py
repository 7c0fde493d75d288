"""The status table, row by row: each row matches, and what is above it wins."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.activity.contract import Lease
from hostagent.activity.evidence import Evidence
from hostagent.instances.model import AutoStandbyPolicy, State
from hostagent.standby.decision import Assessment, Facts, Reason, Status, assess
from tests.hostagent.activity.flows import tcp

NOW = 1_000.0
POLICY = AutoStandbyPolicy(enabled=True, idle_timeout=60)
CAME = Evidence("disturbed", "somebody came")

COUNTING = Facts(idle_since=NOW - 10)
OVER = Facts(idle_since=NOW - 60)
HELD = (Lease("hold", "", NOW + 5),)
LEASED = (Lease("ping", "viewer", NOW + 5),)

ROWS: list[tuple[str, Facts, AutoStandbyPolicy | None, Status, Reason]] = [
    ("no controller", Facts(supported=False), POLICY, Status.UNSUPPORTED, Reason.UNSUPPORTED_PLATFORM),
    ("no policy", Facts(), None, Status.DISABLED, Reason.POLICY_MISSING),
    ("switched off", Facts(), AutoStandbyPolicy(), Status.DISABLED, Reason.POLICY_DISABLED),
    ("waking", Facts(waking=True, state=State.STANDBY), POLICY, Status.WAKING, Reason.WAKE_UNDER_WAY),
    ("not running", Facts(state=State.STOPPED), POLICY, Status.INELIGIBLE, Reason.INSTANCE_NOT_RUNNING),
    ("asleep", Facts(state=State.STANDBY), POLICY, Status.INELIGIBLE, Reason.INSTANCE_NOT_RUNNING),
    ("unknown", Facts(state=State.UNKNOWN), POLICY, Status.INELIGIBLE, Reason.INSTANCE_NOT_RUNNING),
    ("no network", Facts(network=False), POLICY, Status.INELIGIBLE, Reason.NETWORK_DISABLED),
    ("no address", Facts(has_address=False), POLICY, Status.INELIGIBLE, Reason.MISSING_IP),
    ("vGPU", Facts(has_vgpu=True), POLICY, Status.INELIGIBLE, Reason.HAS_VGPU),
    ("no level", Facts(can_sleep=False), POLICY, Status.INELIGIBLE, Reason.NO_SLEEP_LEVEL),
    (
        "somebody came",
        replace(OVER, requested=True, disturbed=CAME),
        POLICY,
        Status.ABORTED,
        Reason.ACTIVITY_DURING_STANDBY,
    ),
    ("asked for", replace(OVER, requested=True), POLICY, Status.STANDBY_REQUESTED, Reason.READY_FOR_STANDBY),
    ("stream down", replace(OVER, observer_error="lost"), POLICY, Status.ERROR, Reason.OBSERVER_ERROR),
    (
        "connected",
        Facts(connections=1, flows=(tcp(),)),
        POLICY,
        Status.ACTIVE,
        Reason.ACTIVE_INBOUND_CONNECTIONS,
    ),
    ("gate", Facts(gate=2), POLICY, Status.GATE_HELD, Reason.GATE_HELD),
    ("gate unknown", replace(OVER, gate=None), POLICY, Status.GATE_HELD, Reason.GATE_UNKNOWN),
    ("counting down", COUNTING, POLICY, Status.IDLE_COUNTDOWN, Reason.IDLE_TIMEOUT_NOT_ELAPSED),
    ("held", replace(OVER, leases=HELD), POLICY, Status.IDLE_COUNTDOWN, Reason.IDLE_TIMEOUT_NOT_ELAPSED),
    ("leased", replace(OVER, leases=LEASED), POLICY, Status.LEASE_HELD, Reason.LEASE_HELD),
    ("over", OVER, POLICY, Status.READY_FOR_STANDBY, Reason.READY_FOR_STANDBY),
    ("nothing known yet", Facts(), POLICY, Status.IDLE_COUNTDOWN, Reason.IDLE_TIMEOUT_NOT_ELAPSED),
]


@pytest.mark.parametrize(
    ("facts", "policy", "status", "reason"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_each_row(facts: Facts, policy: AutoStandbyPolicy | None, status: Status, reason: Reason) -> None:
    found = assess(facts, policy, NOW)
    assert (found.status, found.reason) == (status, reason)
    ineligible = {Status.UNSUPPORTED, Status.DISABLED, Status.WAKING, Status.INELIGIBLE}
    assert found.eligible is (status not in ineligible)


EVERYTHING = Facts(
    supported=False,
    waking=True,
    state=State.STOPPED,
    network=False,
    has_address=False,
    has_vgpu=True,
    can_sleep=False,
    requested=True,
    disturbed=CAME,
    observer_error="lost",
    connections=1,
    flows=(tcp(),),
    gate=1,
    leases=LEASED,
    idle_since=NOW - 10,
)

IN_ORDER: list[tuple[str, object, Reason]] = [
    ("supported", True, Reason.UNSUPPORTED_PLATFORM),
    ("waking", False, Reason.WAKE_UNDER_WAY),
    ("state", State.RUNNING, Reason.INSTANCE_NOT_RUNNING),
    ("network", True, Reason.NETWORK_DISABLED),
    ("has_address", True, Reason.MISSING_IP),
    ("has_vgpu", False, Reason.HAS_VGPU),
    ("can_sleep", True, Reason.NO_SLEEP_LEVEL),
    ("disturbed", None, Reason.ACTIVITY_DURING_STANDBY),
    ("requested", False, Reason.READY_FOR_STANDBY),
    ("observer_error", None, Reason.OBSERVER_ERROR),
    ("connections", 0, Reason.ACTIVE_INBOUND_CONNECTIONS),
    ("gate", 0, Reason.GATE_HELD),
    ("idle_since", NOW - 60, Reason.IDLE_TIMEOUT_NOT_ELAPSED),
    ("leases", (), Reason.LEASE_HELD),
]


def test_the_first_row_that_matches_wins() -> None:
    facts = EVERYTHING
    for field, cured, reason in IN_ORDER:
        assert assess(facts, POLICY, NOW).reason is reason, field
        facts = replace(facts, **{field: cured})  # type: ignore[arg-type]
    assert assess(facts, POLICY, NOW).status is Status.READY_FOR_STANDBY


def test_the_policy_comes_before_the_instance() -> None:
    facts = replace(EVERYTHING, supported=True)
    assert assess(facts, None, NOW).reason is Reason.POLICY_MISSING
    assert assess(facts, AutoStandbyPolicy(), NOW).reason is Reason.POLICY_DISABLED


def test_only_what_is_over_may_sleep() -> None:
    sleeping = [name for name, facts, policy, *_ in ROWS if assess(facts, policy, NOW).may_sleep]
    assert sleeping == ["stream down", "over"], "while the stream is down, the confirming look is the guard"


def test_time_alone_is_waited_for_only_where_it_is_enough() -> None:
    assert assess(COUNTING, POLICY, NOW).next_look == NOW + 50
    assert assess(replace(COUNTING, leases=(Lease("x", "", NOW + 99),)), POLICY, NOW).next_look == NOW + 99
    assert assess(replace(OVER, leases=HELD), POLICY, NOW).next_look == NOW + 5
    assert assess(replace(COUNTING, gate=1), POLICY, NOW).next_look is None
    assert assess(replace(COUNTING, connections=1), POLICY, NOW).next_look is None
    assert assess(Facts(), POLICY, NOW).next_look is None
    assert assess(replace(COUNTING, state=State.STANDBY), POLICY, NOW).next_look is None


def test_evidence_names_what_keeps_it_awake() -> None:
    facts = replace(EVERYTHING, connections=5, **{field: cured for field, cured, _ in IN_ORDER[:9]})  # type: ignore[arg-type]
    told = [evidence.detail for evidence in assess(facts, POLICY, NOW).evidence]
    assert told == [
        "tcp 203.0.113.9:40000 to 10.211.0.5:8080, ESTABLISHED, 5 packets so far",
        "and 4 connections more",
        "the instance holds itself awake: its gate stands at 1",
        "ping needs it for another 5.0 s: viewer",
        "connection events are not told: lost",
    ]


facts_strategy = st.builds(
    Facts,
    state=st.sampled_from(State),
    waking=st.booleans(),
    network=st.booleans(),
    has_address=st.booleans(),
    can_sleep=st.booleans(),
    requested=st.booleans(),
    disturbed=st.sampled_from([None, CAME]),
    observer_error=st.sampled_from([None, "lost"]),
    connections=st.integers(0, 2),
    gate=st.sampled_from([None, 0, 0, 1]),
    leases=st.lists(
        st.builds(Lease, st.sampled_from(["hold", "ping"]), st.just(""), st.floats(0, 2000)), max_size=2
    ).map(tuple),
    idle_since=st.none() | st.floats(0, 2000),
)


@given(facts_strategy, st.sampled_from([None, AutoStandbyPolicy(), POLICY]), st.floats(0, 3000))
def test_a_decision_to_sleep_is_never_in_doubt(
    facts: Facts, policy: AutoStandbyPolicy | None, now: float
) -> None:
    found: Assessment = assess(facts, policy, now)
    if found.may_sleep:
        assert policy is POLICY
        assert facts.state is State.RUNNING
        assert not facts.waking
        assert not facts.requested
        assert facts.connections == 0
        assert facts.gate == 0
        assert facts.idle_since is not None
        assert now >= facts.idle_since + 60
        assert all(lease.until <= now for lease in facts.leases)
        assert found.status in (Status.READY_FOR_STANDBY, Status.ERROR)
    elif found.status is Status.READY_FOR_STANDBY:
        raise AssertionError("it says that it is ready and does not sleep")
    if found.next_look is not None and found.next_look > now:
        assert assess(facts, policy, found.next_look).next_look == found.next_look, "time does not move it"
