"""Finding the gate daemon of a client."""

import socket
import sys

from hostagent.gatefile.client import GateClient
from hostagent.instances.model import InstanceId


def daemon_pid(gates: GateClient) -> int:
    """Return its process id."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gates.file_of(InstanceId("any")).parents[1] / "socket"))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)
