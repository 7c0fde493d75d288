"""Starts one command as an instance: `python -m hostagent.runtimes.process.launcher`, told on stdin.

A process of its own because entering namespaces and forking into them need one with a single thread. It ends
as soon as process 1 of the instance exists; the agent's child (CLONE_PARENT), whose end it learns.

    agent                      launcher                     process 1 (becomes tini)
      | -- the order ----------> joins cgroups, network
      |                          clones ------------------> builds root, becomes its user, checks
      | <- {"pid": N} ---------- ends
      | <- {"ready": true} ------------------------------- waits
      | -- go -------------------------------------------->
      | <- end of file: it runs --------------------------- exec

Without `go` (the agent died) nothing starts. Anything that fails is told as {"error": "…"}.
"""

import json
import os
import signal
import sys
from pathlib import Path

from hostagent.runtimes.process import instance_root, kernel, open_files, reach
from hostagent.runtimes.process.launch_order import LaunchOrder, from_json

NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
GO = b"go\n"


def main() -> None:
    """Read the order, clone, report."""
    report = os.dup(1)
    try:
        order = from_json(_read_line())
        log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        for directory in order.cgroups:
            Path(directory, "cgroup.procs").write_text("0")
        try:
            kernel.enter_namespace(Path(order.network), kernel.CLONE_NEWNET)
        except OSError as error:
            raise OSError(f"cannot enter the instance's network: {error}") from error
        pid = kernel.fork_into(NAMESPACES | kernel.CLONE_PARENT)
    except (OSError, ValueError) as error:
        _tell(report, {"error": str(error)})
        os._exit(1)
    if pid:
        _tell(report, {"pid": pid})
        os._exit(0)
    try:
        _become_instance(order, report, log)
    except (reach.OutOfReachError, FileNotFoundError) as error:
        _tell(report, {"error": str(error), "callers_fault": True})
    except OSError as error:
        _tell(report, {"error": str(error)})
    finally:
        os._exit(126)


def _become_instance(order: LaunchOrder, report: int, log: int) -> None:
    os.setsid()
    instance_root.build_root(order)
    kernel.set_host_name(order.host_name)
    os.setgroups(order.groups)
    os.setresgid(order.gid, order.gid, order.gid)
    os.setresuid(order.uid, order.uid, order.uid)
    os.umask(0o022)
    open_files.set_own(order.open_files)
    user = f"the instance's user (uid {order.uid})"
    program = _checked(order, user)
    if order.uid != 0 and _may_make_user_namespaces():
        # without them Chromium's sandbox is a setuid program, and this would take its power
        kernel.give_up_privileges()
    _tell(report, {"ready": True})
    if _read_line() != GO:
        return
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores them, and what is ignored stays so over exec
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    # -g: a stop reaches the command's children too
    arguments = [order.init, "-g", "--", str(program), *order.command[1:]]
    os.execve(order.init, arguments, order.environment)  # noqa: S606 (no shell wanted)


def _checked(order: LaunchOrder, user: str) -> Path:
    directory = Path(order.working_directory)
    reach.explain(directory, user, os.X_OK)
    os.chdir(directory)
    program = reach.find_program(order.command[0], order.environment.get("PATH", os.defpath), user)
    reach.check_program(program, user)
    for code in order.code:
        reach.explain(Path(code), user, os.R_OK | os.X_OK)
    return program


def _may_make_user_namespaces() -> bool:
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def _read_line() -> bytes:
    # byte by byte: what follows the line is for the process after us
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _tell(report: int, message: dict[str, object]) -> None:
    try:
        os.write(report, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
