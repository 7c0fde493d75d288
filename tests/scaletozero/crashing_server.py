"""A server that kills itself at one point between the two writes, or is stuck in one for a test to kill it.

It runs in a process forked from one that has imported everything: a dozen crashes would take a minute else.
"""

import asyncio
import multiprocessing
import multiprocessing.process
import os
import signal
from pathlib import Path

import plugins.scaletozero.marker
from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.control_file import ControlFile
from tests.scaletozero.server_parts import Server

POINTS = ("before +", "after +", "held", "cooldown", "before -", "after -", "released")
"""Where it dies: right before and after each write(), or in between."""
NO_POINT = ""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def start(
    control_file: Path, run_dir: Path, boot_id: Path, point: str
) -> multiprocessing.process.BaseProcess:
    """Start a server for one visit: somebody comes, is held, and leaves."""
    process = FORKS.Process(target=_run, args=(control_file, run_dir, boot_id, point), daemon=True)
    process.start()
    return process


def crash(control_file: Path, run_dir: Path, boot_id: Path, point: str) -> None:
    """Let a server die at a point."""
    died = start(control_file, run_dir, boot_id, point)
    died.join(30)
    assert died.exitcode == -signal.SIGKILL, f"the server ended with {died.exitcode}"


def _run(control_file: Path, run_dir: Path, boot_id: Path, point: str) -> None:
    plugins.scaletozero.marker.BOOT_ID = boot_id
    _die_around_writes(point)
    asyncio.run(_visit(control_file, run_dir, point))


def _die_if(here: bool) -> None:
    if here:
        os.kill(os.getpid(), signal.SIGKILL)


def _die_around_writes(point: str) -> None:
    write = ControlFile.write

    def dying(file: ControlFile, command: Command) -> WriteResult:
        _die_if(point == f"before {command.value}")
        result = write(file, command)
        _die_if(point == f"after {command.value}")
        return result

    ControlFile.write = dying  # type: ignore[method-assign, assignment]


async def _visit(control_file: Path, run_dir: Path, point: str) -> None:
    server = Server(run_dir)
    await server.start(control_file, cooldown=60 if point == "cooldown" else 0)
    session, socket = await server.join("ann")
    _die_if(point == "held")
    server.sessions.socket_closed(session, socket, 1001)
    _die_if(point == "cooldown")
    while server.metric("scaletozero_disabled"):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    _die_if(point == "released")
    await asyncio.sleep(60)
