"""`-p [ADDRESS:]HOST:INSTANCE[/udp]`, nearly as people know it from containers. Pure.

Without an address a port is for this machine alone: what is new has the passwords of its first day.
"""

import re
from ipaddress import ip_address
from typing import Literal

from hostagent.instances.model import PublishedPort

FORM = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):)?"
    r"(?:(?P<host>\d{1,5}):)?(?P<instance>\d{1,5})(?:/(?P<protocol>tcp|udp))?"
)


THIS_MACHINE = "127.0.0.1"
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 (only compared with)


def parse_port(text: str) -> PublishedPort:
    """Return the published port; `8080` is `127.0.0.1:8080:8080`, and `0.0.0.0` or `[::]` every address.

    Raises ValueError.
    """
    if (found := FORM.fullmatch(text.strip())) is None:
        raise ValueError(f"{text!r} is not [ADDRESS:]HOST:INSTANCE[/udp], such as 8080:80 or 59000/udp")
    instance = int(found["instance"])
    host = int(found["host"] or instance)
    for port in (host, instance):
        if not 1 <= port <= 65535:
            raise ValueError(f"{port} is no port; there are 1 to 65535")
    try:
        address = str(ip_address((found["address"] or THIS_MACHINE).strip("[]")))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    protocol: Literal["tcp", "udp"] = "udp" if found["protocol"] == "udp" else "tcp"
    return PublishedPort(host, instance, protocol, None if address in EVERYWHERE else address)
