"""Connections and the gate keep it awake; their end begins the countdown."""

import pytest

from hostagent.activity.contract import Flow
from hostagent.instances.model import Level
from hostagent.standby.decision import Reason, Status
from tests.hostagent.activity.flows import HOST, INSTANCE4, INSTANCE6, tcp, udp
from tests.hostagent.standby.world import ATTEMPTS, TIMEOUT, A, World, with_policy

UDP_MEMORY = 120.0
"""Seconds the kernel remembers a UDP flow."""


def test_it_sleeps_when_nobody_came_for_the_idle_timeout(world: World) -> None:
    world.add()
    world.start()
    assert world.status() is Status.IDLE_COUNTDOWN
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()
    assert world.view().level is Level.RECLAIMED
    assert world.sample(ATTEMPTS, status="success") == 1


def test_an_open_connection_keeps_it_awake_and_its_end_begins_the_countdown(world: World) -> None:
    world.add()
    world.start()
    world.after(5)
    world.open(tcp())
    assert world.status() is Status.ACTIVE
    world.after(1000)
    assert not world.asleep()
    world.end(tcp())
    assert world.status() is Status.IDLE_COUNTDOWN
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


@pytest.mark.parametrize(
    "flow",
    [
        tcp(destination=str(INSTANCE6), source="2001:db8::9"),
        tcp(destination=str(HOST), destination_port=80, instance=str(INSTANCE4), instance_port=8080),
        tcp(state=1),
        tcp(state=None),
    ],
    ids=["IPv6", "published port", "SYN sent", "unknown state"],
)
def test_every_kind_of_connection_counts(world: World, flow: Flow) -> None:
    world.add()
    world.start()
    world.open(flow)
    world.after(100)
    assert not world.asleep()


def test_udp_keeps_it_awake_while_packets_move(world: World) -> None:
    world.add()
    world.start()
    world.open(udp())
    for _ in range(30):
        world.after(1)
        world.packet(udp())
    assert not world.asleep()
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(2.1)
    assert world.asleep(), "the kernel remembers the flow for two minutes; its silence is what counts"


def test_udp_that_moves_late_in_the_countdown_is_noticed_in_time(world: World) -> None:
    world.add()
    world.start()
    world.open(udp())
    world.after(8)
    world.packet(udp())
    world.after(TIMEOUT - 0.1)
    assert not world.asleep()
    world.after(2.2)
    assert world.asleep()


def test_a_udp_flow_that_the_kernel_forgets_is_no_use(world: World) -> None:
    world.add(policy=with_policy(idle_timeout=200.0))
    world.start()
    world.open(udp())
    world.after(UDP_MEMORY)
    world.table.remove(udp())
    world.after(200 - UDP_MEMORY + 2.1)
    assert world.asleep()


def test_silent_connections_sleep_where_the_policy_says_so(world: World) -> None:
    world.add(policy=with_policy(open_connections="sleep_when_silent"))
    world.start()
    world.open(tcp())
    for _ in range(10):
        world.after(1)
        world.packet(tcp())
    assert not world.asleep()
    world.after(TIMEOUT + 2.1)
    assert world.asleep()
    world.packet(tcp())
    assert not world.asleep(), "the connection lives on, and its next packet wakes"
    world.after(TIMEOUT - 0.1)
    assert not world.asleep()
    world.after(4.2)
    assert world.asleep()


def test_the_gate_keeps_it_awake(world: World) -> None:
    world.add()
    world.start()
    world.gates.write(A, 1)
    world.after(100)
    assert not world.asleep()
    assert world.status() is Status.GATE_HELD
    world.gates.write(A, 0)
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()


def test_a_gate_nobody_can_read_keeps_it_awake_without_being_use(world: World) -> None:
    world.add()
    world.start()
    world.after(5)
    world.gates.leave(True, [A])
    assert world.controller.status(A).reason is Reason.GATE_UNKNOWN
    world.after(100)
    assert not world.asleep()
    world.gates.leave(False, [A])
    world.after(0.01)
    assert world.asleep(), "nobody used it; the countdown had gone on"


def test_a_gate_that_was_held_when_it_was_lost_was_use_until_it_is_back(world: World) -> None:
    world.add()
    world.start()
    world.gates.write(A, 1)
    world.gates.leave(True, [A])
    world.after(50)
    world.gates.counts[A] = 0
    world.gates.leave(False, [A])
    world.after(TIMEOUT - 0.01)
    assert not world.asleep()
    world.after(0.02)
    assert world.asleep()
