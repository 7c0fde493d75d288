"""`-p [ADDRESS:]HOST:INSTANCE[/udp]`, as people know it from containers. Pure."""

import re
from ipaddress import ip_address

from hostagent.instances.model import PublishedPort

FORM = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):)?"
    r"(?:(?P<host>\d{1,5}):)?(?P<instance>\d{1,5})(?:/(?P<protocol>tcp|udp))?"
)


def parse_port(text: str) -> PublishedPort:
    """Return the published port; `8080` is `8080:8080`, no address is all of them. Raises ValueError."""
    if (found := FORM.fullmatch(text.strip())) is None:
        raise ValueError(f"{text!r} is not [ADDRESS:]HOST:INSTANCE[/udp], such as 8080:80 or 59000/udp")
    instance = int(found["instance"])
    host = int(found["host"] or instance)
    for port in (host, instance):
        if not 1 <= port <= 65535:
            raise ValueError(f"{port} is no port; there are 1 to 65535")
    address = None
    if found["address"]:
        try:
            address = str(ip_address(found["address"].strip("[]")))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from error
    return PublishedPort(host, instance, "udp" if found["protocol"] == "udp" else "tcp", address)
