"""A network of its own for a run of tests, and the way back to the machine's."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.network import CLONE_NEWNET

_MACHINE = pytest.StashKey[int]()
"""A descriptor of the network that the run was started in; absent where it was not left."""


def _network() -> int:
    return os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)


def _enter(network: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns: cannot enter a network namespace")


def leave_the_machines(config: pytest.Config) -> None:
    """Move this thread, and all it starts, to a new network.

    It has a loopback interface, and a cable that leads nowhere, since WebRTC asks for an address that others
    could reach; without link-local addresses, which would come a second later and be a change of the network.
    Needs root; others stay where they are, and so does whoever may not make a network.
    """
    machine = _network()
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET):
        os.close(machine)
        return
    for command in (
        "link set lo up",
        "link add cable type veth peer name nowhere",
        "addr add 10.9.8.1/24 dev cable",
        "link set cable addrgenmode none",
        "link set nowhere addrgenmode none",
        "link set nowhere up",
        "link set cable up",
        "route add default via 10.9.8.2 dev cable",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    config.stash[_MACHINE] = machine


@contextmanager
def machine_network(config: pytest.Config) -> Iterator[None]:
    """Be in the machine's own network for a while: for what has to fetch packages from outside."""
    if (machine := config.stash.get(_MACHINE, None)) is None:
        yield
        return
    own = _network()
    try:
        _enter(machine)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)
