"""Many members with a WebSocket each, in a process of their own.

`python -m tests.load.crowd PORT`; it is told what to do by lines of input, each a JSON list, and answers each
one with a line. `["come", COUNT, PER_SECOND]`: so many log in and connect; `["churn", SECONDS, PER_SECOND]`:
one leaves and comes back, again and again; `["leave"]`; `["received"]`: how many messages came, and how many
were closed. The end of input ends it.
"""

from __future__ import annotations

import itertools
import json
import select
import sys
import time

from tests.load.wire import Wire, log_in

LOGINS_AT_ONCE = 25


class Crowd:
    """The members; `live` takes what they are sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self._wires: dict[int, tuple[Wire, str]] = {}
        self._received = 0
        self._names = (f"member-{number}" for number in itertools.count())
        self.asked = False

    def live(self, seconds: float) -> None:
        """Take what comes for a while."""
        end = time.monotonic() + seconds
        while True:
            for number, _ in self._epoll.poll(max(0.0, end - time.monotonic())):
                if number == sys.stdin.fileno():
                    self.asked = True
                    return
                wire, _ = self._wires[number]
                wire.take()
                if wire.closed:
                    self._forget(wire)
                    wire.abort()
            if time.monotonic() >= end:
                return

    def come(self, count: int, per_second: float) -> None:
        """Log in and connect."""
        begin, done = time.monotonic(), 0
        while done < count:
            for token in log_in(
                self._port, list(itertools.islice(self._names, min(LOGINS_AT_ONCE, count - done)))
            ):
                self._connect(token)
                done += 1
                self.live(max(0.0, begin + done / per_second - time.monotonic()))

    def churn(self, seconds: float, per_second: float) -> int:
        """Let one after the other leave and come back; return how many did."""
        begin = time.monotonic()
        for done in itertools.count():
            if (wait := begin + done / per_second - time.monotonic()) > 0:
                self.live(wait)
            if time.monotonic() > begin + seconds:
                return done
            wire, token = next(iter(self._wires.values()))
            self._forget(wire)
            wire.leave()
            self._connect(token)
        raise AssertionError

    def leave(self) -> None:
        """Let all of them leave."""
        for wire, _ in list(self._wires.values()):
            self._forget(wire)
            wire.leave()

    def received(self) -> tuple[int, int]:
        """Return how many messages came, and how many members are here."""
        return self._received + sum(wire.count for wire, _ in self._wires.values()), len(self._wires)

    def _connect(self, token: str) -> None:
        wire = Wire(self._port, token)
        self._wires[wire.fileno()] = wire, token
        self._epoll.register(wire, select.EPOLLIN)

    def _forget(self, wire: Wire) -> None:
        self._epoll.unregister(wire)
        del self._wires[wire.fileno()]
        self._received += wire.count


def main(port: int) -> None:
    """Do as told."""
    crowd = Crowd(port)
    while True:
        crowd.asked = False
        while not crowd.asked:
            crowd.live(1.0)
        line = sys.stdin.readline()
        if not line:
            return
        action, *arguments = json.loads(line)
        print(json.dumps(getattr(crowd, action)(*arguments)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
