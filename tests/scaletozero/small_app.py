"""`streamserver.app` as it serves, but sessions and the gate alone: no display, no browser, no network."""

import asyncio
import multiprocessing.process
import os
import sys
from pathlib import Path

import streamserver.app
from streamserver.config import Loaded
from streamserver.config.settings import Settings
from tests.scaletozero.crashing_server import FORKS
from tests.scaletozero.server_parts import Server

ACCIDENTS = ("in start", "in serve", "cancelled")
NO_ACCIDENT = ""


def start_app(
    control_file: Path, run_dir: Path, log: Path, accident: str = NO_ACCIDENT, **settings: object
) -> multiprocessing.process.BaseProcess:
    """Start it as a process; somebody is connected as soon as it runs."""
    process = FORKS.Process(target=_main, args=(control_file, run_dir, log, accident, settings), daemon=True)
    process.start()
    return process


def _main(control_file: Path, run_dir: Path, log: Path, accident: str, settings: dict[str, object]) -> None:
    with log.open("wb") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)

    class SmallApp(streamserver.app.App):
        async def _start(self) -> None:
            server = Server(run_dir)
            await server.sessions.start()
            self._stops.append(("sessions", server.sessions.stop))
            self._stops.append(("plugins", server.plugin.shutdown))
            await server.start(control_file, **{"cooldown": 60} | settings)
            await server.join("ann")
            match accident:
                case "in start":
                    raise RuntimeError("a bug")
                case "in serve":
                    asyncio.get_running_loop().call_later(0.05, _fail)
                case "cancelled":
                    serving = next(task for task in asyncio.all_tasks() if "serve" in repr(task.get_coro()))
                    asyncio.get_running_loop().call_later(0.05, serving.cancel)

    streamserver.app.App = SmallApp  # type: ignore[misc]
    sys.exit(streamserver.app.run(Loaded(Settings(), [])))


def _fail() -> None:
    """End the loop with an exception, as a bug in a callback that nobody contains would."""
    raise SystemExit(3)
