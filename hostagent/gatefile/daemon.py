"""The gate daemon: `python -m hostagent.gatefile.daemon DIRECTORY`.

Returns when the files can be used (0) or cannot (1, with a sentence on stderr); the daemon goes on in the
background, a session of its own, whatever becomes of who started it.
"""

import fcntl
import logging
import os
import sys
from pathlib import Path

from hostagent.gatefile.counts import Counts
from hostagent.gatefile.file_system import serve
from hostagent.gatefile.mounts import unmount
from hostagent.gatefile.paths import GatePaths
from hostagent.gatefile.server import GateServer

ALREADY_RUNS = "another gate daemon serves"


def main() -> None:
    """Start in the background; wait until it works."""
    paths = GatePaths(Path(sys.argv[1]))
    ready, tell_ready = os.pipe()
    if os.fork() == 0:
        os.close(ready)
        os.setsid()
        os.chdir("/")
        try:
            _run(paths, tell_ready)
        except (OSError, RuntimeError) as error:
            os.write(tell_ready, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        os._exit(0)
    os.close(tell_ready)
    answer = b""
    while part := os.read(ready, 4096):
        answer += part
    if answer != b"ready":
        reason = answer.decode(errors="replace") or f"it ended without a word, see {paths.log}"
        sys.exit(f"the gate daemon does not work: {reason}")


def _run(paths: GatePaths, tell_ready: int) -> None:
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(f"{ALREADY_RUNS} {paths.directory}") from None
    _let_go_of_the_starter(paths.log)
    unmount(paths.files)  # of a daemon before us that was killed
    paths.files.mkdir(exist_ok=True)
    counts = Counts(paths.counts)
    server = GateServer(counts, paths.socket)

    def mounted() -> None:
        server.start()
        os.write(tell_ready, b"ready")
        os.close(tell_ready)

    serve(counts, paths.files, mounted)
    paths.socket.unlink(missing_ok=True)


def _let_go_of_the_starter(log: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)


if __name__ == "__main__":
    main()
