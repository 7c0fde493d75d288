"""The agent's side of the gate files: knows every count as soon as it is written, keeps the daemon going."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from hostagent.errors import HostError
from hostagent.gatefile.daemon import ALREADY_RUNS
from hostagent.gatefile.mounts import unmount
from hostagent.gatefile.paths import GatePaths
from hostagent.instances.model import InstanceId

log = structlog.get_logger("gatefile")

START_DEADLINE = 10.0
"""Seconds for the daemon to mount; it takes a fifth of one."""
ANSWER_DEADLINE = 5.0
RECOVERY_PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before each attempt to have the daemon back; the last one is repeated."""
_TREE = Path(__file__).parents[2]

Restore = Callable[[InstanceId, Path], Awaitable[None]]
"""Put the file in place for an instance that runs (`ProcessRuntime.show_gate`); cheap where it is already."""
ChangeListener = Callable[[InstanceId, int | None], None]


class GateClient:
    """Implements `hostagent.activity.contract.GateReader`.

    A count is unknown (None) while the daemon is gone, and until an instance's file is in place again.
    """

    def __init__(self, directory: Path, restore: Restore | None = None) -> None:
        self._paths = GatePaths(directory)
        self._restore = restore
        self._counts: dict[InstanceId, int] = {}
        self._withheld: set[InstanceId] = set()
        self._listeners: list[ChangeListener] = []
        self._socket: socket.socket | None = None
        self._received = b""
        self._answers: dict[int, asyncio.Future[dict[str, object]]] = {}
        self._number = 0
        self._recovery: asyncio.Task[None] | None = None
        self._closed = False

    # what the decision asks

    def count(self, instance: InstanceId) -> int | None:
        """Return the counter with every write that has returned; None when it is not known."""
        self._receive()
        if instance in self._withheld:
            return None
        return self._counts.get(instance)

    def on_change(self, callback: ChangeListener) -> None:
        """Call back on the loop with each new value, None when it is not known any more."""
        self._listeners.append(callback)

    # what the lifecycle asks

    def file_of(self, instance: InstanceId) -> Path:
        """Return the gate file on the host."""
        return self._paths.file_of(instance)

    async def start(self) -> None:
        """Find the daemon that runs, or start one. Raises HostError when gate files cannot be had here."""
        await self._connect()

    async def create(self, instance: InstanceId, *, reset: bool) -> Path:
        """Make the instance's file; with `reset` (it is started anew) the count is 0, else it is kept."""
        await self._ask("create", instance=instance, reset=reset)
        self._withheld.discard(instance)
        return self._paths.file_of(instance)

    async def remove(self, instance: InstanceId) -> None:
        """Remove the instance's file."""
        await self._ask("remove", instance=instance)

    async def close(self) -> None:
        """Let go of the daemon, which goes on."""
        self._closed = True
        if self._recovery is not None:
            self._recovery.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._recovery
        self._drop_connection()

    async def shut_down(self) -> None:
        """End the daemon and remove its files (`catnap host down`)."""
        with contextlib.suppress(HostError):
            await self._ask("stop")
        await self.close()
        await asyncio.to_thread(self._remove_files)

    def _remove_files(self) -> None:
        unmount(self._paths.files)
        shutil.rmtree(self._paths.directory, ignore_errors=True)

    # the connection

    async def _connect(self) -> None:
        connection = self._reach()
        if connection is None:
            await self._start_daemon()
            connection = self._reach()
            if connection is None:
                raise HostError(f"the gate daemon runs and cannot be reached at {self._paths.socket}")
        self._socket = connection
        asyncio.get_running_loop().add_reader(connection, self._receive)
        await self._ask("watch")
        for instance in sorted(self._withheld):
            await self._put_in_place(instance)

    async def _put_in_place(self, instance: InstanceId) -> None:
        if self._restore is not None:
            try:
                await self._restore(instance, self._paths.file_of(instance))
            except HostError as error:
                log.error(
                    "an instance has no gate file now and is kept awake", instance=instance, error=str(error)
                )
                return
        self._withheld.discard(instance)
        self._tell(instance, self._counts.get(instance))

    def _reach(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(str(self._paths.socket))
        except OSError:
            connection.close()
            return None
        return connection

    async def _start_daemon(self) -> None:
        self._paths.make()
        starter = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hostagent.gatefile.daemon", str(self._paths.directory),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=_TREE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(START_DEADLINE):
                _, errors = await starter.communicate()
        except TimeoutError:
            starter.kill()
            await starter.wait()
            raise HostError(
                f"the gate daemon is not ready after {START_DEADLINE:g} s: {self._paths.log}"
            ) from None
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        if starter.returncode and ALREADY_RUNS not in reason:
            raise HostError(
                f"{reason}. Gate files need /dev/fuse and libfuse (apt-get install libfuse3-3; "
                "in a container: --device /dev/fuse --cap-add SYS_ADMIN)"
            )

    async def _ask(self, what: str, **fields: object) -> dict[str, object]:
        if self._socket is None:
            raise HostError("the gate daemon is gone and is being started again")
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._socket.send(json.dumps({"id": number, "do": what, **fields}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_DEADLINE):
                reply = await answer
        except TimeoutError:
            raise HostError(f"the gate daemon did not answer {what!r} within {ANSWER_DEADLINE:g} s") from None
        except OSError as error:
            raise HostError(f"the gate daemon cannot be asked to {what}: {error.strerror}") from error
        finally:
            self._answers.pop(number, None)
        if "error" in reply:
            raise HostError(f"the gate daemon refuses to {what}: {reply['error']}")
        return dict(reply)

    def _receive(self) -> None:
        """Take in all that has arrived."""
        while self._socket is not None:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            *lines, self._received = (self._received + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, object]) -> None:
        if isinstance(counts := message.get("counts"), dict):
            self._counts = {InstanceId(instance): int(count) for instance, count in counts.items()}
            self._withheld = set(self._counts)
        if "id" in message:
            answer = self._answers.get(int(str(message["id"])))
            if answer is not None and not answer.done():
                answer.set_result(message)
            return
        instance, count = InstanceId(str(message["instance"])), message["count"]
        if count is None:
            self._counts.pop(instance, None)
            self._withheld.discard(instance)
        else:
            self._counts[instance] = int(str(count))
        if instance not in self._withheld:
            self._tell(instance, self._counts.get(instance))

    def _tell(self, instance: InstanceId, count: int | None) -> None:
        loop = asyncio.get_running_loop()  # later: who asks for a count must not be called back from within
        for listener in self._listeners:
            loop.call_soon(listener, instance, count)

    # the daemon was killed

    def _drop_connection(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._received = b""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(HostError("the gate daemon has ended"))
        self._answers.clear()

    def _lost(self) -> None:
        self._drop_connection()
        known, self._counts = self._counts, {}
        self._withheld.clear()
        for instance in known:
            self._tell(instance, None)
        if not self._closed and (self._recovery is None or self._recovery.done()):
            log.error("the gate daemon is gone; all instances count as held until it is back")
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(RECOVERY_PAUSES[min(attempt, len(RECOVERY_PAUSES) - 1)])
            attempt += 1
            try:
                await self._connect()
            except HostError as error:
                self._drop_connection()
                log.error("the gate daemon does not come back", error=str(error), attempt=attempt)
                continue
            if self._socket is not None:  # else it went again meanwhile
                log.info("the gate daemon is back", attempt=attempt)
                return
