"""The socket, with the kernel at its other end."""

import errno
import os

import pytest

from hostagent.netlink import conntrack, log, queue
from hostagent.netlink.message import Subsystem
from hostagent.netlink.socket import NetfilterSocket
from tests.hostagent.own_host import require_own_network


def test_a_refusal_has_the_kernels_words() -> None:
    require_own_network()
    sock = NetfilterSocket(1 << 16)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)) as caught:
        sock.ask(Subsystem.CONNTRACK, 200)
    assert caught.value.errno in (errno.EINVAL, errno.EOPNOTSUPP)
    sock.close()


def test_groups_and_queues_have_one_listener() -> None:
    require_own_network()
    first, second = NetfilterSocket(1 << 16), NetfilterSocket(1 << 16)
    log.bind(first, 9)
    queue.bind(first, 9, 10)
    with pytest.raises(PermissionError):
        log.bind(second, 9)
    with pytest.raises(PermissionError):
        queue.bind(second, 9, 10)
    first.close()
    log.bind(second, 9)
    queue.bind(second, 9, 10)
    second.close()


def test_forgetting_what_is_gone_is_no_error() -> None:
    require_own_network()
    sock = NetfilterSocket(1 << 16)
    entry = conntrack.Entry(6, bytes(4), 1, bytes([10, 0, 0, 9]), 2, bytes(4), 2, None, 0, None)
    conntrack.forget(sock, entry)
    assert list(conntrack.marked(sock, 1 << 31)) == []
    sock.close()
