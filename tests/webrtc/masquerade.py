"""A server that only the kernel's own address translation lets out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.network import Namespace

INSIDE = "10.99.77.1"
"""The server's only address, which nobody outside has a way to."""


@contextmanager
def inside() -> Iterator[None]:
    """Have the address."""
    subprocess.run(["ip", "addr", "add", f"{INSIDE}/32", "dev", "lo"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "addr", "del", f"{INSIDE}/32", "dev", "lo"], check=True)


@contextmanager
def masquerade(host: Namespace) -> Iterator[None]:
    """Let nothing that comes from `INSIDE` be seen under another address than the gateway's, and nothing in
    that was not asked for: the kernel's own translation.
    """
    table = f"nat_{host.name.replace('-', '_')}"
    rules = f"add table ip {table}; add chain ip {table} out {{ type nat hook postrouting priority 100; }}; "
    rules += f"add rule ip {table} out ip saddr {INSIDE} masquerade"
    with inside():
        try:
            subprocess.run(["nft", rules], check=True)
            yield
        finally:
            subprocess.run(["nft", f"delete table ip {table}"], check=False, capture_output=True)
