"""Why the instance's user cannot use a file: asked of the kernel, as that user, before the command starts."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_LINKS = 40


class OutOfReachError(Exception):
    """The user may not do what starting the command needs; the message says what to change."""


def find_program(command: str, path: str, user: str) -> Path:
    """Return the file that `command` names, for the user we are now; raises `OutOfReachError`."""
    found = shutil.which(command, path=path)
    if found is not None:
        return Path(found)
    if "/" in command:
        candidate = Path(command)
        explain(candidate, user, os.X_OK)
        raise OutOfReachError(f"{candidate} is not a program that can be started (a directory?)")
    for directory in path.split(os.pathsep):
        candidate = Path(directory, command)
        try:
            explain(candidate, user, os.X_OK)
        except FileNotFoundError:
            continue
    raise OutOfReachError(
        f"there is no program {command!r} in {path}: give its whole path, or the instance a PATH (--env)"
    )


def check_program(program: Path, user: str) -> None:
    """Check the interpreter that a script names too, through every link (a venv's often leads elsewhere)."""
    for file in (program, *_interpreters(program)):
        explain(file, user, os.X_OK)


def explain(path: Path, user: str, need: int) -> None:
    """Return when the user we are may use `path` so.

    Raises:
        FileNotFoundError: there is nothing there, and one may know it.
        OutOfReachError: there is something that one may not reach or use.
    """
    for directory in _ways(path):
        if not os.access(directory, os.X_OK):
            if not directory.exists():  # all above it were entered, so this is known
                raise _missing(path)
            raise OutOfReachError(
                f"{user} may not enter {directory}{_described(directory)}, needed to reach {path}: "
                f"let others pass (chmod o+x {directory}), move it where others may read (/opt, /srv), "
                "or run the instance as an account that may (--user)"
            )
    if not path.exists():
        raise _missing(path)
    if not os.access(path, need):
        what = "start" if need & os.X_OK and path.is_file() else "read"
        raise OutOfReachError(
            f"{user} may not {what} {path}{_described(path)}: let others (chmod o+rX {path}), "
            "or run the instance as an account that may (--user)"
        )


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(f"{path} does not exist in the instance (its /tmp and /run are its own)")


def _ways(path: Path) -> Iterator[Path]:
    """Return every directory that leads to `path`, those of the links in it too, from the top."""
    seen: set[Path] = set()
    waiting = [Path(os.path.abspath(path))]  # noqa: PTH100 (resolve would follow the links)
    while waiting and len(seen) < MAX_LINKS * 16:
        way = waiting.pop()
        for step in (*reversed(way.parents), way):
            if step in seen:
                continue
            seen.add(step)
            try:
                target = step.readlink()
            except OSError:
                if step != way:
                    yield step
                continue
            waiting.append(Path(os.path.normpath(step.parent / target)))


def _described(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f" (mode {status.st_mode & 0o7777:04o}, owner {status.st_uid}:{status.st_gid})"


def _interpreters(program: Path) -> Iterator[Path]:
    for _ in range(4):  # scripts may name scripts
        try:
            with program.open("rb") as file:
                first = file.readline(256)
        except OSError:
            return
        words = first[2:].decode(errors="replace").split()
        if not first.startswith(b"#!") or not words:
            return
        program = Path(words[0])
        yield program


def main() -> None:
    """`… UID FILE…`: become that user and print why a file cannot be read; nothing when all can."""
    uid, paths = int(sys.argv[1]), sys.argv[2:]
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    try:
        for path in paths:
            explain(Path(path), f"an instance's user (uid {uid})", os.R_OK)
    except (OutOfReachError, FileNotFoundError) as error:
        sys.stdout.write(str(error))


if __name__ == "__main__":
    main()
