"""The agent's side of a start: gives the order, hears what became of it (see `launcher`)."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import hostagent
from hostagent.errors import BadRequestError, HostError
from hostagent.instances.model import InstanceSpec
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process import open_files
from hostagent.runtimes.process.accounts import Account, account_of, files_for
from hostagent.runtimes.process.exit_watch import ExitWatch
from hostagent.runtimes.process.launch_order import HOME, LaunchOrder
from hostagent.runtimes.process.launcher import GO
from hostagent.runtimes.process.output_log import log_of
from hostagent.runtimes.process.stamp import stamp_of

DEADLINE = 30.0
"""Seconds until the command must have been started; it takes a tenth of one."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
END_DEADLINE = 2.0
_TREE = Path(hostagent.__file__).parent.parent
_MODULE = "hostagent.runtimes.process.launcher"


def order_for(plan: LaunchPlan, cgroups: Iterable[Path]) -> LaunchOrder:
    """Return what to tell the launcher; makes the home. Raises `BadRequestError`, `HostError`."""
    spec = plan.spec
    if not spec.command:
        raise BadRequestError("an instance needs a command")
    init = shutil.which("tini", path=SYSTEM_PATH)
    if init is None:
        raise HostError("tini is missing; it ends and reaps an instance's processes: apt-get install tini")
    account = account_of(spec, plan.addresses)
    environment = _environment(spec, account)
    return LaunchOrder(
        command=spec.command,
        environment=environment,
        working_directory=str(spec.working_directory or account.home),
        host_name=spec.name,
        uid=account.uid,
        gid=account.gid,
        groups=account.groups,
        cgroups=tuple(map(str, cgroups)),
        network=f"/run/netns/{plan.addresses.netns}",
        home=str(_home(plan.data_directory, account)),
        log=str(log_of(plan.data_directory)),
        gate_file=str(plan.gate_file) if plan.gate_file else None,
        files=files_for(account, spec.name, plan.addresses),
        init=init,
        open_files=open_files.given(),
        code=_code_of(spec.command[0], environment["PATH"]),
    )


def _environment(spec: InstanceSpec, account: Account) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": f"/run/user/{account.uid}",
        **dict(spec.environment),
    }


def _home(data_directory: Path, account: Account) -> Path:
    home = data_directory / HOME.name
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(home, account.uid, account.gid)
    return home


def _code_of(command: str, path: str) -> tuple[str, ...]:
    """Return where the command's code is, when it is one of our own environment (`catnap`)."""
    program = shutil.which(command, path=path)
    ours = program is not None and Path(program).parent == Path(sys.executable).parent
    if not ours or not Path(command).name.startswith(("catnap", "python")):
        return ()
    return tuple(dict.fromkeys((sys.prefix, sysconfig.get_path("purelib"), str(_TREE))))


async def launch(order: LaunchOrder) -> ExitWatch:
    """Start the command; return the watch over process 1 of the instance, which may have ended already.

    Raises:
        BadRequestError: the instance's user cannot start it, with what to do.
        HostError: the machine cannot.
    """
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-m", _MODULE,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=_TREE, env={"PATH": SYSTEM_PATH}, start_new_session=True,
    )  # fmt: skip
    assert launcher.stdin
    assert launcher.stdout
    assert launcher.stderr
    talk = _Conversation(launcher.stdin, launcher.stdout, launcher.stderr)
    try:
        async with asyncio.timeout(DEADLINE):
            return await talk.start(order)
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):
            launcher.kill()
        if isinstance(error, TimeoutError):
            raise HostError(f"the instance was not started within {DEADLINE:g} s") from None
        raise
    finally:
        launcher.stdin.close()
        with contextlib.suppress(TimeoutError):  # without `go` process 1 ends, too, and lets go of the pipes
            async with asyncio.timeout(END_DEADLINE):
                await asyncio.gather(launcher.wait(), launcher.stdout.read(), launcher.stderr.read())
                await talk.end_unless_started()


class _Conversation:
    """What is said between the agent and one launcher, and the process that comes of it."""

    def __init__(
        self, orders: asyncio.StreamWriter, answers: asyncio.StreamReader, errors: asyncio.StreamReader
    ) -> None:
        self._orders = orders
        self._answers = answers
        self._errors = errors
        self._pid: int | None = None
        self._watch: ExitWatch | None = None
        self._is_started = False

    async def start(self, order: LaunchOrder) -> ExitWatch:
        self._orders.write(order.to_json())
        await self._orders.drain()
        ready = False
        while self._pid is None or not ready:
            line = await self._answers.readline()
            if not line:
                raise HostError(
                    f"the launcher ended silently: {(await self._errors.read())[-500:].decode()!r}"
                )
            answer = self._accepted(line)
            ready = ready or "ready" in answer
        # it waits for us: watched from before its first instruction, however soon it ends
        stamp = stamp_of(self._pid)
        if stamp is None:
            raise HostError("process 1 of the instance was killed before it was told to go on")
        self._watch = ExitWatch(stamp)
        self._orders.write(GO)
        await self._orders.drain()
        if rest := await self._answers.read():  # the end of file comes with the exec
            self._accepted(rest)
        self._is_started = True
        return self._watch

    def _accepted(self, line: bytes) -> dict[str, object]:
        answer: dict[str, object] = json.loads(line)
        if "pid" in answer:
            self._pid = int(str(answer["pid"]))
        if "error" in answer:
            told = f"the instance cannot be started: {answer['error']}"
            if answer.get("callers_fault"):
                raise BadRequestError(told)
            raise HostError(f"{told} (`catnap host doctor` tries what instances need)")
        return answer

    async def end_unless_started(self) -> None:
        """Reap process 1, which is a child of ours, when the start did not come to its end."""
        if self._is_started or self._pid is None:
            return
        if self._watch is not None:
            self._watch.close()
        while True:
            try:
                if os.waitpid(self._pid, os.WNOHANG) != (0, 0):  # noqa: ASYNC222 (WNOHANG)
                    return
            except ChildProcessError:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            await asyncio.sleep(0.005)
