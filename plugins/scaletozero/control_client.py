"""The command line's end of the control socket. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOCKET_NAME = "scaletozero.sock"
"""In `server.run_dir`."""
TIMEOUT = 15.0
"""Seconds for an answer; longer than the server takes to give up on a request."""


class NoAnswerError(Exception):
    """Nobody answers at the socket; the message says why and what to do."""


def ask(run_dir: Path, wanted: str) -> dict[str, Any]:  # JSON; see `control_socket.py`
    """Send one request and return the answer.

    Args:
        run_dir: `server.run_dir` of the server that is meant.
        wanted: `status`, `disable` or `enable`.

    Raises:
        NoAnswerError: there is no answer.
    """
    path = run_dir / SOCKET_NAME
    try:
        with short_address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(address)
            connection.sendall(json.dumps({"do": wanted}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except FileNotFoundError:
        raise NoAnswerError(
            f"no server runs here with the gate: there is no {path}; start `catnap serve` with "
            "scaletozero.enabled, and give this command the same configuration"
        ) from None
    except ConnectionRefusedError:
        raise NoAnswerError(f"no server runs here: {path} is left from one that was killed") from None
    except PermissionError:
        raise NoAnswerError(f"{path} may not be opened; run this as the user the server runs as") from None
    except (OSError, ValueError) as error:
        raise NoAnswerError(
            f"the server does not answer at {path}: {error or 'it closed the connection'}"
        ) from None
    if not isinstance(answer, dict):
        raise NoAnswerError(
            f"the server at {path} gave an answer that is not understood; is it another version?"
        )
    return answer


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Give a socket's path another name: the kernel takes 107 bytes (unix(7)), a directory may be longer."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
