"""Run as a program: a server that kills itself at one point between the two writes.

Arguments: control file, run directory, boot id file, point.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import plugins.scaletozero.marker
from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.control_file import ControlFile
from tests.scaletozero.server_parts import Server

POINTS = ("before +", "after +", "held", "before -", "after -")


def die_if(here: bool) -> None:
    if here:
        os.kill(os.getpid(), signal.SIGKILL)


def die_around_writes(point: str) -> None:
    write = ControlFile.write

    def dying(file: ControlFile, command: Command) -> WriteResult:
        die_if(point == f"before {command.value}")
        result = write(file, command)
        die_if(point == f"after {command.value}")
        return result

    ControlFile.write = dying  # type: ignore[method-assign, assignment]


async def main(control_file: Path, run_dir: Path, point: str) -> None:
    server = Server(run_dir)
    await server.start(control_file, cooldown=0)
    session, socket = await server.join("ann")
    die_if(point == "held")
    server.sessions.socket_closed(session, socket, 1001)
    await asyncio.sleep(5)


if __name__ == "__main__":
    control, directory, boot_id, point = sys.argv[1:]
    plugins.scaletozero.marker.BOOT_ID = Path(boot_id)
    die_around_writes(point)
    asyncio.run(main(Path(control), Path(directory), point))
