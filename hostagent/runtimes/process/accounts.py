"""Who an instance runs as, a user of its own or an account of the host, and the files in /etc that say so."""

import pwd
from dataclasses import dataclass
from os import getgrouplist
from pathlib import Path

from hostagent.errors import BadRequestError
from hostagent.instances.model import Addresses, InstanceSpec
from hostagent.runtimes.process.launch_order import HOME

OWN_NAME = "instance"
"""What an instance's own user is called inside."""
FALLBACK_RESOLVERS = ("1.1.1.1", "2606:4700:4700::1111")
"""Asked for names where the host only asks itself: its loopback cannot be reached from another network."""


SYSTEMD_RESOLVERS = "/run/systemd/resolve/resolv.conf"
"""What systemd-resolved asks, where resolv.conf(5) names only itself."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user of one instance."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    """As the instance sees it."""


def account_of(spec: InstanceSpec, addresses: Addresses) -> Account:
    """Return the user to run `spec` as; raises `BadRequestError` when the host has no such account."""
    if spec.user is None:
        return Account(OWN_NAME, addresses.uid, addresses.uid, (), str(HOME))
    try:
        entry = pwd.getpwnam(spec.user)
    except KeyError:
        raise BadRequestError(
            f"this host has no account {spec.user!r}: leave it out, and the instance has a user of its own"
        ) from None
    groups = tuple(getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def files_for(account: Account, host_name: str, addresses: Addresses) -> dict[str, str]:
    """Return path and text of the files in /etc that an instance has of its own."""
    short = host_name.partition(".")[0]
    files = {
        "/etc/hosts": (
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            f"{addresses.ipv4}\t{host_name} {short}\n{addresses.ipv6}\t{host_name} {short}\n"
        ),
        "/etc/hostname": f"{host_name}\n",
        "/etc/resolv.conf": resolver_file(
            _read("/etc/resolv.conf"), _read("/run/systemd/resolve/resolv.conf")
        ),
    }
    if account.name == OWN_NAME:
        uid, gid, home = account.uid, account.gid, account.home
        files["/etc/passwd"] = with_entry(
            _read("/etc/passwd"), f"{OWN_NAME}:x:{uid}:{gid}:catnap instance:{home}:/bin/sh"
        )
        files["/etc/group"] = with_entry(_read("/etc/group"), f"{OWN_NAME}:x:{gid}:")
    return files


def with_entry(text: str, entry: str) -> str:
    """Return passwd(5) or group(5) text with `entry` in it, and no other of that name or number."""
    name, _, number = entry.split(":")[:3]
    others = [
        line
        for line in text.splitlines()
        if line.split(":")[0] != name and [*line.split(":"), "", ""][2] != number
    ]
    return "\n".join([*others, entry]) + "\n"


def resolver_file(host: str, upstream: str = "") -> str:
    """Return resolv.conf(5) for a network of its own: without servers that only the host's loopback has."""
    for text in (host, upstream):
        lines = text.splitlines()
        servers = [line for line in lines if line.split()[:1] == ["nameserver"]]
        usable = [line for line in servers if not _is_loopback(line.split()[1:2])]
        if usable:
            others = [line for line in lines if line.split()[:1] in (["search"], ["options"], ["domain"])]
            return "\n".join([*usable, *others]) + "\n"
    return "".join(f"nameserver {server}\n" for server in FALLBACK_RESOLVERS)


def _is_loopback(address: list[str]) -> bool:
    return not address or address[0].startswith("127.") or address[0] in ("::1", "0.0.0.0", "::")  # noqa: S104


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
