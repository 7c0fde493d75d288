"""Which flows count."""

import pytest

from hostagent.activity.classify import TCP_STATES, FlowRule, flow_key, is_open
from hostagent.activity.contract import Flow
from hostagent.instances.model import AutoStandbyPolicy
from tests.hostagent.activity.flows import ADDRESSES, HOST, INSTANCE4, INSTANCE6, tcp, udp

RULE = FlowRule.of(
    AutoStandbyPolicy(
        enabled=True,
        idle_timeout=60,
        ignore_source_cidrs=("10.1.0.0/16", "2001:db8:1::/48"),
        ignore_destination_ports=(9100,),
    ),
    ADDRESSES,
)


@pytest.mark.parametrize(
    ("state", "expected"),
    [(number, name not in ("NONE", "TIME_WAIT", "CLOSE")) for number, name in enumerate(TCP_STATES)]
    + [(12, True), (255, True), (None, True)],
)
def test_tcp_states_are_a_deny_list(state: int | None, expected: bool) -> None:
    assert is_open(tcp(state=state)) is expected


def test_udp_is_open_while_the_kernel_knows_it() -> None:
    assert is_open(udp())


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        pytest.param(tcp(), True, id="straight"),
        pytest.param(tcp(destination=str(INSTANCE6), source="2001:db8::7"), True, id="straight over IPv6"),
        pytest.param(
            tcp(destination=str(HOST), destination_port=80, instance=str(INSTANCE4), instance_port=8080),
            True,
            id="published port",
        ),
        pytest.param(tcp(destination="10.211.0.6"), False, id="somebody else's"),
        pytest.param(
            tcp(source=str(INSTANCE4), destination="198.51.100.1"), False, id="what the instance calls"
        ),
        pytest.param(tcp(source=str(INSTANCE4)), False, id="the instance calling itself"),
        pytest.param(
            tcp(source=str(INSTANCE4), destination=str(HOST), instance=str(INSTANCE4)),
            False,
            id="the instance calling itself by its published port",
        ),
        pytest.param(tcp(source="10.211.0.1"), True, id="from the host itself"),
        pytest.param(tcp(source="10.1.2.3"), False, id="ignored network"),
        pytest.param(tcp(source="10.2.2.3"), True, id="network beside the ignored one"),
        pytest.param(
            tcp(source="2001:db8:1::7", destination=str(INSTANCE6)), False, id="ignored network, IPv6"
        ),
        pytest.param(tcp(destination_port=9100), False, id="ignored port"),
        pytest.param(
            tcp(destination=str(HOST), destination_port=80, instance=str(INSTANCE4), instance_port=9100),
            False,
            id="ignored port, published as another",
        ),
        pytest.param(
            tcp(destination=str(HOST), destination_port=9100, instance=str(INSTANCE4), instance_port=8080),
            True,
            id="other port, published as the ignored one",
        ),
        pytest.param(udp(), True, id="UDP"),
    ],
)
def test_who_counts(flow: Flow, expected: bool) -> None:
    assert RULE.counts(flow) is expected


def test_open_connections_hold_unless_they_may_sleep() -> None:
    assert RULE.holds(tcp())
    assert not RULE.holds(udp())
    silent = FlowRule.of(
        AutoStandbyPolicy(enabled=True, idle_timeout=60, open_connections="sleep_when_silent"), ADDRESSES
    )
    assert not silent.holds(tcp())


def test_a_flow_is_itself_whatever_its_state_and_counter() -> None:
    assert flow_key(tcp(state=3, packets=1)) == flow_key(tcp(state=7, packets=9))
    assert flow_key(tcp(1)) != flow_key(tcp(2))
    assert flow_key(tcp(7)) != flow_key(udp(7))
