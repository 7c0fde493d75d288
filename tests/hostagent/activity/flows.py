"""Flows for tests, towards one instance with both kinds of addresses."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from hostagent.activity.contract import Flow

INSTANCE4 = IPv4Address("10.211.0.5")
INSTANCE6 = IPv6Address("fd7a:ca7:a9::5")
ADDRESSES = (INSTANCE4, INSTANCE6)
HOST = IPv4Address("192.0.2.1")

SYN_SENT, ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE = 1, 3, 4, 7, 8


def tcp(
    port: int = 40000,
    *,
    state: int | None = ESTABLISHED,
    source: str = "203.0.113.9",
    destination: str = str(INSTANCE4),
    destination_port: int = 8080,
    instance: str | None = None,
    instance_port: int | None = None,
    packets: int | None = 5,
) -> Flow:
    """Return a TCP connection from `port`; by default straight to the instance."""
    return Flow(
        protocol="tcp",
        source=ip_address(source),
        source_port=port,
        destination=ip_address(destination),
        destination_port=destination_port,
        instance=ip_address(instance or destination),
        instance_port=instance_port or destination_port,
        tcp_state=state,
        packets=packets,
    )


def udp(port: int = 50000, *, packets: int | None = 1, destination: str = str(INSTANCE4)) -> Flow:
    """Return a UDP flow from `port`."""
    return Flow(
        protocol="udp",
        source=ip_address("203.0.113.9") if "." in destination else ip_address("2001:db8::9"),
        source_port=port,
        destination=ip_address(destination),
        destination_port=59000,
        instance=ip_address(destination),
        instance_port=59000,
        tcp_state=None,
        packets=packets,
    )
