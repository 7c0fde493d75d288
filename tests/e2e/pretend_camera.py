"""Starts a program of ours with a camera whose device is a socket: few machines have v4l2loopback.

    python pretend_camera.py .venv/bin/catnap serve ...

Everything up to the device is real; what a device is asked is tested in `tests/desktop/test_camera.py`.
"""

import socket
import sys
from pathlib import Path

from streamserver import cli
from streamserver.desktop import v4l2


def why_not(device: Path) -> str:
    return "" if device.is_socket() else f"{device} is no socket"


def open_output(device: Path, width: int, height: int) -> int:
    """Return a descriptor whose every write is one datagram, as one is a picture for the device."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.setblocking(False)
    end.connect(str(device))
    return end.detach()


if __name__ == "__main__":
    v4l2.why_not = why_not
    v4l2.open_output = open_output
    del sys.argv[0]
    cli.main()
