"""What the kernel tracks, as the decision sees it: with real flows, IPv4 and IPv6, TCP and UDP."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hostagent.activity import conntrack
from hostagent.activity.conntrack import ConntrackTable
from hostagent.activity.contract import Flow, FlowEvent
from hostagent.instances.model import Addresses, InstanceSpec, PublishedPort
from hostagent.netlink.conntrack import Command
from hostagent.netlink.message import Subsystem
from hostagent.netlink.socket import NetfilterSocket
from hostagent.network import namespaces, rules
from hostagent.network.host_network import HostNetwork
from tests.hostagent import own_host
from tests.hostagent.own_host import POOL, Outside, call, made, new_id, served
from tests.waiting import until

SPEC = InstanceSpec("name", ("true",), ports=(PublishedPort(8080, 80), PublishedPort(5300, 53, "udp")))
ESTABLISHED, TIME_WAIT = 3, 7


@dataclass
class Observed:
    """A host with an instance and its table."""

    addresses: Addresses
    table: ConntrackTable
    registry: CollectorRegistry
    events: list[FlowEvent] = field(default_factory=list)
    lost: list[Exception | None] = field(default_factory=list)

    async def start(self) -> None:
        await self.table.start(self.events.append, self.lost.append)

    def told(self, kind: str, port: int) -> list[Flow]:
        return [event.flow for event in self.events if event.kind == kind and event.flow.source_port == port]


@pytest.fixture
async def observed(tmp_path: Path) -> AsyncIterator[Observed]:
    own_host.require_own_network()
    network = HostNetwork(POOL, tmp_path)
    try:
        await network.start()
        instance = new_id()
        addresses = network.allocate(instance, [])
        await network.attach(instance, SPEC, addresses)
        forget_all_flows()
        registry = CollectorRegistry()
        table = ConntrackTable(rules.MARK, registry)
        yield Observed(addresses, table, registry)
        await table.stop()
        table.close()
    finally:
        await network.teardown()
        await network.stop()


def forget_all_flows() -> None:
    """Begin with an empty table, whatever ran in this network before."""
    sock = NetfilterSocket(1 << 16)
    sock.ask(Subsystem.CONNTRACK, Command.DELETE)
    sock.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    own_host.require_own_network()
    with Outside() as other:
        yield other


@pytest.mark.parametrize("version", [4, 6])
async def test_a_connection_from_its_beginning_to_its_end(
    observed: Observed, outside: Outside, version: int
) -> None:
    await observed.start()
    target = outside.gateway4 if version == 4 else outside.gateway6
    instance = observed.addresses.ipv4 if version == 4 else observed.addresses.ipv6
    with served(observed.addresses.netns, "tcp", 80), outside.run(lambda: made("tcp", target)) as sock:
        sock.settimeout(15)
        await asyncio.to_thread(sock.connect, (target, 8080))
        port = sock.getsockname()[1]
        await until(
            lambda: any(flow.tcp_state == ESTABLISHED for flow in observed.told("new", port)),
            within=5,
            what="it is told",
        )
        (flow,) = [flow for flow in observed.table.flows() if flow.source_port == port]
        assert (flow.protocol, str(flow.source)) == ("tcp", outside.ipv4 if version == 4 else outside.ipv6)
        assert (str(flow.destination), flow.destination_port) == (target, 8080)
        assert (flow.instance, flow.instance_port, flow.tcp_state) == (instance, 80, ESTABLISHED)
        assert flow.packets is not None
        assert flow.packets >= 2
        sock.send(b"x")
        await asyncio.to_thread(sock.recv, 10)
        (later,) = [flow for flow in observed.table.flows() if flow.source_port == port]
        assert later.packets is not None
        assert later.packets > flow.packets
        sock.close()
        await until(
            lambda: any(flow.tcp_state == TIME_WAIT for flow in observed.told("new", port)),
            within=5,
            what="its end is told",
        )
    assert observed.lost == []


async def test_datagrams_count_and_their_end_is_told(observed: Observed) -> None:
    Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").write_text("1")
    await observed.start()
    target = str(observed.addresses.ipv6)
    with served(observed.addresses.netns, "udp", 53), made("udp", target) as sock:
        sock.settimeout(15)
        sock.connect((target, 53))
        for packets in (1, 2):
            sock.send(b"x")
            await asyncio.to_thread(sock.recv, 100)
            (flow,) = observed.table.flows((observed.addresses.ipv6,))
            assert (flow.protocol, flow.tcp_state, flow.packets) == ("udp", None, packets)
        port = sock.getsockname()[1]
        # the kernel looks for what is over when somebody looks up the table
        await until(
            lambda: not observed.table.flows() and observed.told("destroy", port),
            within=100,
            what="the end of the flow is told",
        )


async def test_only_flows_to_instances_are_seen(observed: Observed, outside: Outside) -> None:
    """Not those of others, nor what an instance opens itself, nor pings."""
    await observed.start()
    with ExitStack() as stack:
        stack.enter_context(served(outside.name, "tcp", 70))
        stack.enter_context(served(observed.addresses.netns, "tcp", 80))
        for host in (outside.ipv4, outside.ipv6):
            await asyncio.to_thread(call, "tcp", host, 70)
        await asyncio.to_thread(
            namespaces.run, observed.addresses.netns, lambda: call("tcp", outside.ipv4, 70)
        )
        await asyncio.to_thread(call, "tcp", str(observed.addresses.ipv4), 80)
        await until(lambda: observed.events, within=5, what="the instance's flow is told")
        await until(lambda: observed.table.flows(), within=5, what="it is in the table")
    assert {str(event.flow.instance) for event in observed.events} == {str(observed.addresses.ipv4)}
    assert {event.flow.instance_port for event in observed.events} == {80}
    assert len({event.flow.source_port for event in observed.events}) == 1
    assert len(observed.table.flows()) == 1


async def test_flows_of_one_instance(observed: Observed, outside: Outside) -> None:
    with served(observed.addresses.netns, "tcp", 80):
        for host, port in ((str(observed.addresses.ipv4), 80), ("::1", 8080), ("127.0.0.1", 8080)):
            await asyncio.to_thread(call, "tcp", host, port)
    both = (observed.addresses.ipv4, observed.addresses.ipv6)
    assert len(observed.table.flows(both)) == 3
    assert len(observed.table.flows((observed.addresses.ipv4,))) == 2
    assert [str(flow.destination) for flow in observed.table.flows((observed.addresses.ipv6,))] == ["::1"]
    assert observed.table.flows((POOL.subnet4[9], POOL.subnet6[9])) == []


async def test_marks_of_others_stay(observed: Observed) -> None:
    """Our bit is added, and a flow with another mark is none of ours."""
    rule = "add table inet other; add chain inet other mark { type filter hook output priority -150; }; "
    rule = rule.replace("chain inet other mark", "chain inet other marks")
    rule += "add rule inet other marks ct mark set 0x42"
    subprocess.run(["nft", rule], check=True)
    try:
        with served(observed.addresses.netns, "tcp", 80):
            await asyncio.to_thread(call, "tcp", str(observed.addresses.ipv4), 80)
        listed = Path("/proc/net/nf_conntrack").read_text()
        assert f"mark={rules.MARK | 0x42}" in listed
        assert len(observed.table.flows()) == 1
    finally:
        subprocess.run(["nft", "delete table inet other"], check=True)


async def test_lost_events_are_told(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conntrack, "_EVENT_BUFFER", 2048)
    await observed.start()
    target = str(observed.addresses.ipv4)
    for _ in range(200):
        with made("udp", target) as sock:
            sock.sendto(b"x", (target, 53))
    await until(lambda: observed.lost, within=5, what="the loss is told")
    assert observed.lost == [None] * len(observed.lost)
    assert observed.registry.get_sample_value("catnap_host_conntrack_overruns_total") == len(observed.lost)
    # the stream goes on
    observed.events.clear()
    with served(observed.addresses.netns, "tcp", 80):
        await asyncio.to_thread(call, "tcp", target, 80)
    await until(lambda: observed.events, within=5, what="it goes on")
    assert len(observed.table.flows()) > 100


async def test_a_broken_stream_is_told_and_can_be_started_again(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await observed.start()

    def broken() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(observed.table._events, "receive", broken)
    target = str(observed.addresses.ipv4)
    with made("udp", target) as sock:
        sock.sendto(b"x", (target, 53))
    await until(lambda: observed.lost, within=5, what="it is told")
    assert isinstance(observed.lost[0], OSError)
    await observed.start()
    with made("udp", target) as sock:
        sock.sendto(b"x", (target, 53))
    await until(lambda: observed.events, within=5, what="it is back")


def test_a_table_belongs_to_the_network_it_was_made_in(observed: Observed, outside: Outside) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (str(observed.addresses.ipv4), 53))
    assert len(observed.table.flows()) == 1
    assert len(outside.run(observed.table.flows)) == 1
