"""Clients that never read, in a process of their own.

`python -m tests.load.deaf PORT COUNT`: so many WebSockets, so many requests for the page's largest file, and
a viewer that sends no report of what it receives, while somebody tells everybody 8 KB, fifty times a second.
It prints a line when it begins; the end of input ends it.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from tests.load.watcher import join
from tests.load.wire import Wire, log_in

TALKS_PER_SECOND = 50
TALK = "x" * 8192
SMALL = 4096
"""Bytes of a receive buffer."""


def main(port: int, count: int) -> None:
    """Be deaf until the end of input."""
    tokens = log_in(port, [f"deaf-{number}" for number in range(count)])
    deaf: list[object] = [Wire(port, token, receive_buffer=SMALL) for token in tokens]
    for _ in range(count):
        asker = socket.socket()
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        asker.connect(("127.0.0.1", port))
        # many at once: the answers to all of them wait for this client
        asker.sendall(b"GET /main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20)
        deaf.append(asker)
    talker, silent = (Wire(port, token) for token in log_in(port, ["talker", "silent"]))
    viewer = join(silent)
    viewer.reports = False
    print(json.dumps("deaf"), flush=True)
    next_talk = time.monotonic()
    while True:
        readable, _, _ = select.select([viewer.socket, talker, silent, sys.stdin], [], [], 0.01)
        viewer.poll()
        viewer.tick(time.monotonic())
        viewer.sent.clear()
        talker.take()
        silent.take()
        if time.monotonic() >= next_talk:
            next_talk += 1 / TALKS_PER_SECOND
            talker.send("send/broadcast", {"subject": "talk", "body": TALK})
        if sys.stdin in readable and not sys.stdin.readline():
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
