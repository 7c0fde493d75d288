"""Somebody who watches, in a process of its own, and notes when each frame was sent to them.

`python -m tests.load.watcher PORT` says "watching" when the picture is there; a line of input asks for the
frames since the last one: a JSON list of times (s of the wall clock). The end of input ends it.

The times are those at which the kernel took a frame's last packet: on loopback that is when the server sent
it, however late this process gets to read it.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

from bench._light_viewer import Identity, LightViewer, buffer
from tests.load.wire import Wire, log_in

SO_TIMESTAMPNS = 35
"""Linux's; Python has no name for it."""
LAST_OF_PICTURE = 0x80 | 102
"""The marker bit and the payload type of the picture."""
CONNECT_DEADLINE = 60.0


class TimedViewer(LightViewer):
    """A viewer that knows when frames were sent."""

    def __init__(self, identity: Identity, offer: str) -> None:
        super().__init__(identity, offer)
        self.sent: list[float] = []
        self.reports = True
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def tick(self, now: float) -> None:
        """Send what is due; no report where none is to be sent."""
        if not self.reports:
            self._next_report = now + 1
        super().tick(now)

    def poll(self) -> None:
        """Take everything that has arrived."""
        while True:
            try:
                size, ancillary, _, _ = self.socket.recvmsg_into([buffer], 64)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if buffer[0] >> 6 == 2 and buffer[1] == LAST_OF_PICTURE:
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                self.sent.append(seconds + nanoseconds / 1e9)
            self.take(size)


def join(wire: Wire) -> TimedViewer:
    """Ask for the picture over the session's WebSocket."""
    wire.send("signal/request", {})
    while True:
        select.select([wire], [], [], 10)
        for text in wire.take(keep=True):
            message = json.loads(text)
            if message["event"] == "signal/provide":
                viewer = TimedViewer(Identity(), message["payload"]["sdp"])
                wire.send("signal/answer", {"sdp": viewer.answer})
                return viewer


def main(port: int) -> None:
    """Watch until the end of input."""
    (token,) = log_in(port, ["watcher"])
    wire = Wire(port, token)
    viewer = join(wire)
    begin = time.monotonic()
    watching = False
    while True:
        readable, _, _ = select.select([viewer.socket, wire, sys.stdin], [], [], 0.02)
        viewer.poll()
        viewer.tick(time.monotonic())
        wire.take()
        if not watching and viewer.sent:
            print(json.dumps("watching"), flush=True)
            watching = True
        if not watching and time.monotonic() > begin + CONNECT_DEADLINE:
            sys.exit("no picture came")
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            print(json.dumps(viewer.sent), flush=True)
            viewer.sent.clear()


if __name__ == "__main__":
    main(int(sys.argv[1]))
