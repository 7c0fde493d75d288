"""Use by being open, and use by moving."""

import pytest

from hostagent.activity.classify import FlowRule
from hostagent.activity.contract import Flow, FlowEvent
from hostagent.activity.flow_set import Change, FlowSet
from tests.hostagent.activity.flows import ADDRESSES, CLOSE, FIN_WAIT, TIME_WAIT, tcp, udp


def holding() -> FlowSet:
    return FlowSet(FlowRule(frozenset(ADDRESSES)))


def silent() -> FlowSet:
    return FlowSet(FlowRule(frozenset(ADDRESSES), silent_may_sleep=True))


def new(flow: Flow) -> FlowEvent:
    return FlowEvent("new", flow)


def gone(flow: Flow) -> FlowEvent:
    return FlowEvent("destroy", flow)


def test_an_open_connection_is_use_for_as_long_as_it_is_open() -> None:
    flows = holding()
    assert flows.saw(new(tcp()), 1.0) is Change.ADDED
    for moment in (3.0, 5.0, 7.0):
        assert flows.look([tcp()], moment) == 1
        assert flows.last_use == moment
    assert flows.saw(new(tcp(state=TIME_WAIT)), 8.0) is Change.REMOVED
    assert (flows.in_use, flows.last_use) == (0, 8.0)
    assert flows.look([tcp(state=TIME_WAIT)], 10.0) == 0
    assert flows.last_use == 8.0


def test_doubled_and_unknown_ends_are_harmless() -> None:
    flows = holding()
    assert flows.saw(gone(tcp()), 1.0) is Change.IGNORED
    assert flows.saw(new(tcp(state=CLOSE)), 1.0) is Change.IGNORED
    flows.saw(new(tcp()), 2.0)
    assert flows.saw(gone(tcp()), 3.0) is Change.REMOVED
    assert flows.saw(gone(tcp()), 4.0) is Change.IGNORED
    assert flows.last_use == 3.0


def test_who_does_not_count_is_ignored() -> None:
    flows = holding()
    assert flows.saw(new(tcp(destination="10.211.0.77")), 1.0) is Change.IGNORED
    assert flows.look([tcp(destination="10.211.0.77")], 1.0) == 0
    assert flows.last_use is None


def test_the_table_is_the_truth() -> None:
    flows = holding()
    flows.look([tcp(1), tcp(2)], 1.0)
    assert flows.look([tcp(2), tcp(3)], 3.0) == 2
    assert flows.look([], 5.0) == 0
    assert flows.last_use == 5.0, "it ended at some time before; this is the latest"
    assert flows.look([], 7.0) == 0
    assert flows.last_use == 5.0


def test_udp_is_use_while_packets_move() -> None:
    flows = holding()
    assert flows.look([udp(packets=10)], 1.0) == 1, "what is seen first may just have come"
    assert flows.look([udp(packets=11)], 3.0) == 1
    assert flows.look([udp(packets=11)], 5.0) == 0
    assert (flows.silent, flows.last_use) == (1, 3.0)
    assert flows.look([udp(packets=12)], 7.0) == 1
    assert (flows.silent, flows.last_use) == (0, 7.0)


def test_a_counter_that_fell_belongs_to_a_newer_flow() -> None:
    flows = holding()
    flows.look([udp(packets=10)], 1.0)
    assert flows.look([udp(packets=2)], 3.0) == 1


def test_a_kernel_that_does_not_count_keeps_awake() -> None:
    flows = holding()
    for moment in (1.0, 3.0, 5.0):
        assert flows.look([udp(packets=None)], moment) == 1


def test_a_silent_flow_that_the_kernel_forgets_is_nobody() -> None:
    flows = holding()
    flows.look([udp()], 1.0)
    flows.look([udp()], 3.0)
    assert flows.saw(gone(udp()), 100.0) is Change.EXPIRED
    assert flows.last_use == 1.0
    flows.look([udp()], 200.0)
    flows.look([udp()], 202.0)
    flows.look([], 204.0)
    assert flows.last_use == 200.0


def test_a_moving_flow_that_vanishes_was_use_until_then() -> None:
    flows = holding()
    flows.look([udp()], 1.0)
    assert flows.saw(gone(udp()), 2.0) is Change.REMOVED
    assert flows.last_use == 2.0


def test_silent_connections_may_sleep_where_the_policy_says_so() -> None:
    flows = silent()
    flows.look([tcp(packets=5)], 1.0)
    assert flows.look([tcp(packets=5)], 3.0) == 0
    assert flows.silent == 1
    assert flows.look([tcp(packets=6)], 5.0) == 1
    flows.look([tcp(packets=6)], 7.0)
    assert flows.look([tcp(packets=6, state=FIN_WAIT)], 9.0) == 1, "a change of state took a packet"
    flows.look([tcp(packets=6, state=FIN_WAIT)], 11.0)
    assert flows.saw(new(tcp(state=TIME_WAIT)), 12.0) is Change.REMOVED
    assert flows.last_use == 12.0


def test_an_event_makes_a_silent_flow_use_again() -> None:
    flows = silent()
    flows.look([tcp()], 1.0)
    flows.look([tcp()], 3.0)
    assert flows.saw(new(tcp()), 4.0) is Change.ADDED
    assert (flows.in_use, flows.silent) == (1, 0)


def test_another_policy_forgets_what_it_leaves_out() -> None:
    flows = holding()
    flows.look([tcp(1), tcp(2, destination_port=22), udp()], 1.0)
    flows.look([tcp(1), tcp(2, destination_port=22), udp()], 3.0)
    flows.follow(FlowRule(frozenset(ADDRESSES), ignored_ports=frozenset({22, 59000})))
    assert (flows.in_use, flows.silent) == (1, 0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_examples_are_bounded(count: int) -> None:
    flows = holding()
    flows.look([tcp(port) for port in range(1, 100)], 1.0)
    assert len(flows.examples(count)) == count
    assert flows.in_use == 99
