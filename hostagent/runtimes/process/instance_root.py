"""The files an instance sees: the host's, read with the rights of its own user, and some of its own.

Built on a fresh root, a tmpfs with the host's top directories bound into it; the host's own stays as it is:

    /            tmpfs; every directory of the host's root is bound, but for these:
    /proc        of its own process namespace
    /sys         of its own network, read-only
    /tmp /run    empty, with what X servers and XDG_RUNTIME_DIR need
    /dev/shm     empty (shared memory follows the IPC namespace)
    /instance    the home, in the data directory
    /uk/libukp   the gate file
    /etc/passwd, group, hosts, hostname, resolv.conf    files of its own over the host's
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from hostagent.runtimes.process import kernel
from hostagent.runtimes.process.launch_order import GATE, HOME, LaunchOrder

OWN = ("proc", "sys", "tmp", "run", HOME.parts[1], GATE.parts[1])
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV
_BUILDING_SITE = Path("/sys")
"""Where the new root is put together: always there, and nothing below it is needed meanwhile."""


def build_root(order: LaunchOrder) -> None:
    """Make it and be in it; in a mount and process namespace of our own, as root."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    shown = _hidden_but_named(order)
    copies = {path: kernel.detached_copy(path) for path in shown}
    new = _BUILDING_SITE
    kernel.mount("instance", new, "tmpfs", _QUIET, "mode=0755,size=1m")
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name in OWN:
            continue
        if entry.is_symlink():
            (new / entry.name).symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            (new / entry.name).mkdir()
            kernel.bind(entry.path, new / entry.name, recursive=True)
    for name in OWN:
        (new / name).mkdir()
    kernel.bind(order.home, new / HOME.relative_to("/"))
    if order.gate_file is not None:
        gate = new / GATE.relative_to("/")
        gate.parent.mkdir()
        gate.touch()
        kernel.bind(order.gate_file, gate)
    kernel.mount("proc", new / "proc", "proc", _QUIET | kernel.MS_NOEXEC)
    kernel.make_root(new)
    with contextlib.suppress(OSError):  # some containers forbid it, and few programs look there
        kernel.mount("sysfs", "/sys", "sysfs", _QUIET | kernel.MS_NOEXEC | kernel.MS_RDONLY)
    kernel.mount("tmpfs", "/tmp", "tmpfs", _QUIET, "mode=1777")  # noqa: S108 (its own)
    kernel.mount("tmpfs", "/run", "tmpfs", _QUIET, "mode=0755")
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", _QUIET, "mode=1777")  # noqa: S108 (its own)
    with contextlib.suppress(OSError):  # kernels without POSIX message queues
        kernel.mount("mqueue", "/dev/mqueue", "mqueue", _QUIET | kernel.MS_NOEXEC)
    _make("/tmp/.X11-unix", 0o1777)  # noqa: S108
    _make("/tmp/.ICE-unix", 0o1777)  # noqa: S108
    _make("/run/lock", 0o1777)
    _make("/run/user", 0o755)
    runtime_directory = _make(f"/run/user/{order.uid}", 0o700)
    os.chown(runtime_directory, order.uid, order.gid)
    _show_files(order.files)
    for path, copy in copies.items():
        path.mkdir(parents=True, exist_ok=True)
        kernel.place(copy, path)
        os.close(copy)


def _hidden_but_named(order: LaunchOrder) -> list[Path]:
    # a project in /tmp is where people try things; it would vanish behind the instance's own /tmp
    paths = {Path(path) for path in (order.working_directory, *order.code) if path != "/"}
    hidden = [
        path for path in paths if path.parts[1] in ("tmp", "run") and len(path.parts) > 2 and path.is_dir()
    ]
    return sorted(path for path in hidden if not any(other in path.parents for other in hidden))


def _make(path: str, mode: int) -> Path:
    made = Path(path)
    made.mkdir()
    made.chmod(mode)
    return made


def _show_files(files: Mapping[str, str]) -> None:
    own = _make("/run/instance", 0o755)
    for path, text in files.items():
        shown = Path(os.path.realpath(path))
        if shown.is_relative_to("/run"):  # resolv.conf is often a link to there, and /run is ours
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.write_text(text)
            continue
        source = own / shown.name
        source.write_text(text)
        if shown.exists():
            kernel.bind(source, shown)
