import asyncio
import itertools
import select
import time

from streamserver.capture.frames import EncodedFrame
from streamserver.capture.worker import BACKLOG_LIMIT, Outlet, Worker
from tests.capture.viewer import Viewer
from tests.waiting import until, wait_until

FRAME = EncodedFrame(b"data", True, 0, 0.0)


async def test_attempts_come_at_growing_intervals_and_stopping_interrupts_them() -> None:
    attempts: list[float] = []

    def broken(worker: Worker) -> None:
        attempts.append(time.monotonic())
        raise OSError("no such source")

    worker = Worker("test", broken, broke=lambda: None, first_retry=0.05)
    await until(lambda: len(attempts) == 4, within=5, what="four attempts")
    worker.stop()
    await asyncio.wait_for(worker.ended(), 0.3)  # the next attempt was 0.4 s away
    pauses = [after - before for before, after in itertools.pairwise(attempts)]
    assert [round(pause / 0.05) for pause in pauses] == [1, 2, 4]


async def test_an_engine_learns_that_the_loop_is_behind_and_that_it_has_caught_up() -> None:
    viewer, outlet = Viewer(), Outlet()
    outlet.deliver = viewer
    rooms: list[bool] = []

    def eager(worker: Worker) -> None:
        while not worker.stopping:
            worker.acknowledge()
            while worker.has_room and len(rooms) < 20:
                worker.emit(outlet, FRAME)
                rooms.append(worker.has_room)
            select.select([worker], [], [])

    worker = Worker("test", eager, broke=lambda: None)
    wait_until(
        lambda: len(rooms) == BACKLOG_LIMIT, within=5, what="the backlog is full"
    )  # the loop stands still
    time.sleep(0.05)
    assert len(rooms) == BACKLOG_LIMIT
    await until(lambda: len(viewer.frames) == 20, within=5, what="the rest comes through")
    worker.stop()
    await worker.ended()


async def test_nothing_is_delivered_after_stop() -> None:
    viewer, outlet = Viewer(), Outlet()
    outlet.deliver = viewer

    def one(worker: Worker) -> None:
        worker.emit(outlet, FRAME)
        worker.stopping = True

    worker = Worker("test", one, broke=lambda: None)
    worker.stop()
    await worker.ended()
    assert viewer.frames == []
