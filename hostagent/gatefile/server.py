"""The daemon's unix socket: one JSON object a line, each way.

    {"id": 1, "do": "create", "instance": "ID", "reset": true}   -> {"id": 1, "count": 0}
    {"id": 2, "do": "remove", "instance": "ID"}                  -> {"id": 2}
    {"id": 3, "do": "watch"}                                     -> {"id": 3, "counts": {"ID": 0}}
        then at each change                                         {"instance": "ID", "count": 1}
    {"id": 4, "do": "stop"}                                      -> {"id": 4}, and the daemon ends
    what is wrong                                                -> {"id": 5, "error": "…"}

A change is told before whoever wrote it gets an answer: who empties the socket knows every finished write.
"""

import json
import logging
import os
import signal
import socket
import threading
from pathlib import Path

from hostagent.gatefile.counts import Counts

log = logging.getLogger("gatefile")

SEND_BUFFER = 1 << 20
"""Bytes of changes that may wait for a reader; with more it is cut off, and reads all counts anew."""


class GateServer:
    """Answers agents; each connection has a thread, of which there are one or two."""

    def __init__(self, counts: Counts, path: Path) -> None:
        self._counts = counts
        self._path = path
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen; from now on the daemon can be reached."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                log.error("no more agents can connect: %s", error)
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            threading.Thread(target=_Connection(connection, self._counts).run, daemon=True).start()


class _Connection:
    def __init__(self, connection: socket.socket, counts: Counts) -> None:
        self._socket = connection
        self._counts = counts
        self._sending = threading.Lock()

    def run(self) -> None:
        try:
            with self._socket, self._socket.makefile("rb") as lines:
                for line in lines:
                    self._answer(line)
        except OSError as error:
            log.info("an agent's connection ended: %s", error)
        finally:
            self._counts.unlisten(self._changed)

    def _answer(self, line: bytes) -> None:
        number: object = None
        try:
            request = json.loads(line)
            number = request.get("id")
            self._do(number, request)
        except (ValueError, KeyError, AttributeError, OSError) as error:
            self._send({"id": number, "error": f"{type(error).__name__}: {error}"})

    def _do(self, number: object, request: dict[str, object]) -> None:
        match request["do"]:
            case "create":
                instance = _name(request["instance"])
                count = self._counts.create(instance, reset=bool(request.get("reset")))
                self._send({"id": number, "count": count})
            case "remove":
                self._counts.remove(_name(request["instance"]))
                self._send({"id": number})
            case "watch":
                self._counts.listen(
                    self._changed,
                    lambda counts: self._send({"id": number, "counts": counts}),
                )
            case "stop":
                self._send({"id": number})
                os.kill(os.getpid(), signal.SIGTERM)
            case other:
                raise ValueError(f"there is no {other!r}; there are create, remove, watch, stop")

    def _changed(self, instance: str, count: int | None) -> None:
        self._send({"instance": instance, "count": count})

    def _send(self, message: dict[str, object]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            try:
                if self._socket.send(data, socket.MSG_DONTWAIT) == len(data):
                    return
                log.warning("an agent reads too slowly and is cut off")
            except BlockingIOError:
                log.warning("an agent reads too slowly and is cut off")
            except OSError:
                return
            self._socket.shutdown(socket.SHUT_RDWR)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isalnum() or len(value) > 64:
        raise ValueError(f"{value!r} is not an instance's id")
    return value
