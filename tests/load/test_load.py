"""What others do to the picture of somebody who watches: nothing.

The real server with a moving picture; who watches notes when the server sent each frame, in rounds with load
and rounds without it. Whoever loads the server has a process of their own. What is measured has the priority
of real time, so that other programs of this machine do not count.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import psutil
import pytest

from streamserver.websocket.peer import QUEUE_BYTES
from tests.e2e.running_server import RunningServer, running_server
from tests.load.gaps import Gaps, report
from tests.load.helper import Helper, running
from tests.load.priority import MEASURED, put_first, put_server_first
from tests.scaletozero.moving_picture import moving
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="runs servers with real-time priority, which needs root"),
]

ROUNDS = 4
ROUND = 8.0
"""Seconds of a round, with load or without."""

SETTLED = 1.5
"""Seconds for what a change of the load brings about by itself."""

LIMIT = 1.10
"""How much longer than in the rounds without load the gaps may be."""

MEMBERS = 500
CHURN = 5.0
"""Members a second who leave and come back."""

DEAF = 25


@dataclass
class Scene:
    """A server that somebody watches."""

    server: RunningServer
    watcher: Helper

    @property
    def memory(self) -> float:
        """MB of the server that are resident."""
        assert self.server.process is not None
        return float(psutil.Process(self.server.process.pid).memory_info().rss) / 1e6

    @property
    def connections(self) -> int:
        """WebSockets that are open for the server."""
        metrics = httpx.get(f"{self.server.url}metrics").text
        found = re.search(r"(?m)^catnap_websocket_connections (\S+)", metrics)
        assert found
        return int(float(found[1]))

    @property
    def log_lines(self) -> int:
        """Lines the server has logged."""
        return self.server.log.count("\n")

    def watch(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> list[float]:
        """Return when frames were sent in that time, or for as long as `meanwhile` takes."""
        self.watcher.ask("frames")
        if meanwhile is None:
            time.sleep(seconds)
        else:
            meanwhile()
        times: list[float] = self.watcher.ask("frames")
        return times

    def compare(
        self,
        name: str,
        load: Callable[[], contextlib.AbstractContextManager[Helper]],
        meanwhile: Callable[[Helper], object] | None = None,
    ) -> None:
        """Take rounds with and without load by turns, and judge."""
        quiet, loaded = [], []
        for _ in range(ROUNDS):
            quiet.append(self.watch(ROUND))
            with load() as helper:
                time.sleep(SETTLED)
                during = None if meanwhile is None else (lambda helper=helper: meanwhile(helper))
                loaded.append(self.watch(ROUND, during))
            time.sleep(SETTLED)
        without, with_load = Gaps.of(quiet), Gaps.of(loaded)
        report(name, without, with_load)
        print(json.dumps({"server_mb": round(self.memory), "log_lines": self.log_lines}))
        assert with_load.p95 <= LIMIT * without.p95
        assert with_load.p99 <= LIMIT * without.p99


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    screen = {"screen": "640x480@30", "max_screen": "640x480"}
    with running_server(webrtc={"nat1to1": ["127.0.0.1"]}, desktop=screen) as server:
        assert server.process is not None
        put_server_first(server.process.pid)
        # the picture is moved by a thread of this process
        own, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        put_first(os.getpid())
        try:
            with (
                moving(server.display),
                running("tests.load.watcher", server.port, priority=MEASURED) as watcher,
            ):
                watcher.answer()
                time.sleep(SETTLED)
                yield Scene(server, watcher)
        finally:
            os.sched_setscheduler(0, own, parameters)


@contextlib.contextmanager
def begun(module: str, *arguments: object) -> Iterator[Helper]:
    with running(module, *arguments) as helper:
        helper.answer()
        yield helper


def test_a_thousand_messages_a_second(scene: Scene) -> None:
    memory, lines = scene.memory, scene.log_lines
    scene.compare("1000 messages/s", lambda: begun("tests.load.flood", scene.server.port, 1000))
    assert scene.memory < memory + 20
    assert scene.log_lines < lines + 20 * ROUNDS


def test_a_thousand_messages_a_second_on_the_data_channel(scene: Scene) -> None:
    memory, lines = scene.memory, scene.log_lines
    scene.compare(
        "1000 messages/s on the data channel",
        lambda: begun("tests.load.flood_channel", scene.server.port, 1000),
    )
    assert scene.memory < memory + 20
    assert scene.log_lines < lines + 20 * ROUNDS


def test_five_hundred_members_who_come_and_go(scene: Scene) -> None:
    memory = scene.memory
    with running("tests.load.crowd", scene.server.port) as crowd:

        @contextlib.contextmanager
        def together() -> Iterator[Helper]:
            crowd.ask("come", MEMBERS, 100)
            yield crowd
            assert crowd.ask("received")[1] == MEMBERS, "somebody was cut off"
            crowd.ask("leave")

        scene.compare(
            f"{MEMBERS} members, {CHURN} a second come and go",
            together,
            lambda helper: helper.ask("churn", ROUND, CHURN),
        )
        print(json.dumps({"received": crowd.ask("received")[0]}))
    assert scene.memory < memory + 0.15 * MEMBERS


def test_clients_that_never_read(scene: Scene) -> None:
    memory, port = scene.memory, scene.server.port
    scene.compare("clients that never read", lambda: begun("tests.load.deaf", port, DEAF))
    wait_until(lambda: scene.connections == 1, within=10, what="who watches is alone again")
    with begun("tests.load.deaf", port, DEAF):
        # those stay who talk and watch
        wait_until(lambda: scene.connections == 3, within=15, what="those that never read are cut off")
        assert scene.memory < memory + 20 + DEAF * QUEUE_BYTES / 1e6
    assert scene.memory < memory + 60
