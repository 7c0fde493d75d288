"""Whether a caller is on this machine: its own probes and supervisor must not keep it awake. Pure."""

import functools
import ipaddress


@functools.lru_cache(maxsize=256)
def is_loopback(address: str) -> bool:
    """Tell whether `address` (`127.0.0.1`, `127.0.0.1:80`, `::1`, `[::1]:80`) is this machine's own.

    What is no address is not: in doubt the machine stays awake.
    """
    host = address.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    # an IPv4 client of a socket that takes both
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
