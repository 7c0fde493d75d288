"""The agent's side of a start: gives the order, hears what became of it (see `launcher`)."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import hostagent
from hostagent.errors import BadRequestError, HostError
from hostagent.instances.model import InstanceSpec, ProcessStamp
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process.accounts import Account, account_of, files_for
from hostagent.runtimes.process.launch_order import HOME, LaunchOrder
from hostagent.runtimes.process.launcher import GO
from hostagent.runtimes.process.output_log import log_of
from hostagent.runtimes.process.stamp import stamp_of

DEADLINE = 30.0
"""Seconds until the command must have been started; it takes a tenth of one."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
    if program is None or Path(program).parent != Path(sys.executable).parent:
        return ()
    return tuple(dict.fromkeys((sys.prefix, sysconfig.get_path("purelib"), str(_TREE))))


async def launch(order: LaunchOrder) -> ProcessStamp:
    """Start the command and return process 1 of the instance.

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
    try:
        async with asyncio.timeout(DEADLINE):
            return await _converse(order, launcher.stdin, launcher.stdout, launcher.stderr)
    except TimeoutError:
        raise HostError(f"the instance was not started within {DEADLINE:g} s") from None
    finally:
        launcher.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            launcher.kill()
        await launcher.wait()


async def _converse(
    order: LaunchOrder,
    orders: asyncio.StreamWriter,
    answers: asyncio.StreamReader,
    errors: asyncio.StreamReader,
) -> ProcessStamp:
    orders.write(order.to_json())
    await orders.drain()
    pid: int | None = None
    ready = False
    while not (pid and ready):
        line = await answers.readline()
        if not line:
            raise HostError(f"the launcher ended silently: {(await errors.read())[-500:].decode()!r}")
        answer = _accepted(line)
        pid = int(str(answer["pid"])) if "pid" in answer else pid
        ready = ready or "ready" in answer
    orders.write(GO)
    await orders.drain()
    if rest := await answers.read():  # the end of file comes with the exec
        _accepted(rest)
    stamp = stamp_of(pid)
    if stamp is None:
        raise HostError(f"{order.command[0]} ended as soon as it was started: see the instance's log")
    return stamp


def _accepted(line: bytes) -> dict[str, object]:
    answer: dict[str, object] = json.loads(line)
    if "error" in answer:
        kind = BadRequestError if answer.get("callers_fault") else HostError
        raise kind(f"the instance cannot be started: {answer['error']}")
    return answer
