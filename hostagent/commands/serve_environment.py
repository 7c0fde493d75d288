"""What `catnap serve` must be told to be reached inside an instance. Pure.

In an instance "this machine" is the instance: a page that listens on 127.0.0.1 there is reached by nobody,
and the addresses the server sees there are not those of the host.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from hostagent.instances.model import PublishedPort

BIND = "NEKO_SERVER_BIND"
NAT = "NEKO_WEBRTC_NAT1TO1"


def is_catnap_serve(command: Sequence[str]) -> bool:
    """Tell whether the command is the streaming browser."""
    return len(command) > 1 and PurePath(command[0]).name == "catnap" and "serve" in command[1:]


def environment_for(
    command: Sequence[str],
    ports: Sequence[PublishedPort],
    given: Mapping[str, str],
    host_addresses: Sequence[str],
) -> dict[str, str]:
    """Return variables to add to `given`; a variable or flag of the caller's own is left alone.

    The page listens on every address of the instance, at the first published TCP port. Where UDP is
    published, viewers are sent to the host's addresses; else to the instance's own, which the host reaches.
    """
    if not is_catnap_serve(command):
        return {}
    added: dict[str, str] = {}
    tcp = [port.instance_port for port in ports if port.protocol == "tcp"]
    if BIND not in given and not _has_flag(command, "server.bind"):
        added[BIND] = f":{tcp[0] if tcp else 8080}"
    udp = any(port.protocol == "udp" for port in ports)
    if udp and host_addresses and NAT not in given and not _has_flag(command, "webrtc.nat1to1"):
        added[NAT] = ",".join(host_addresses)
    return added


def _has_flag(command: Sequence[str], setting: str) -> bool:
    return any(word == f"--{setting}" or word.startswith(f"--{setting}=") for word in command)
