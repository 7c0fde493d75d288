"""One client that sends a thousand messages a second, in a process of its own.

`python -m tests.load.flood PORT RATE`: moves, chat, keys, unknown and malformed ones over the WebSocket. It
prints a line when it begins; the end of input ends it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import sys
import time

from tests.load.wire import TEXT, Wire, frame, log_in

TEXTS = [
    '{"event":"control/move","payload":{"x":100,"y":100}}',
    '{"event":"control/move","payload":{"x":140,"y":120}}',
    '{"event":"control/keydown","payload":{"keysym":97}}',
    '{"event":"control/keyup","payload":{"keysym":97}}',
    '{"event":"chat/message","payload":{"text":"hello"}}',
    '{"event":"send/broadcast","payload":{"subject":"flood","body":"hello"}}',
    '{"event":"no/such","payload":{}}',
    '{"event":"control/move","payload":{"x":"wide"}}',
    "{",
]
TICK = 0.01
"""Seconds between two bursts."""


def main(port: int, rate: float) -> None:
    """Send until the end of input."""
    (token,) = log_in(port, ["flood"])
    wire = Wire(port, token)
    wire.send("control/request", None)
    print(json.dumps("sending"), flush=True)
    frames = itertools.cycle([frame(TEXT, text.encode()) for text in TEXTS])
    begin, sent = time.monotonic(), 0
    backlog = b""
    while True:
        readable, _, _ = select.select([wire, sys.stdin], [], [], TICK)
        wire.take()
        if sys.stdin in readable and not sys.stdin.readline():
            break
        due = int((time.monotonic() - begin) * rate)
        if len(backlog) < 1 << 16:
            backlog += b"".join(next(frames) for _ in range(sent, due))
        sent = due
        with contextlib.suppress(BlockingIOError):
            backlog = backlog[wire.socket.send(backlog) :]
    wire.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
