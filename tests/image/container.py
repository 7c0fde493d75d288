"""A container made from the image and run by runc, with what Docker would give it and nothing more."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.waiting import wait_until

from .builder import ROOT, BuiltImage

START_DEADLINE = 120.0
"""Seconds until the server inside answers: a cold start of everything in it, on a busy machine."""
STOP_DEADLINE = 10.0
"""Seconds between `docker stop` asking and killing."""
PROFILE = ROOT / "config/seccomp.json"
"""What docs/container.md tells operators to pass with --security-opt seccomp=."""
CONTROL_FILE = Path("/uk/libukp/scale_to_zero_disable")
CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP",
        "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
]  # fmt: skip
"""What Docker lets root in a container do; a user who is not root starts with none of it."""
MOUNTS = [
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
]
NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET, as Docker's profile masks them."""
EPERM, ENOSYS = 1, 38
DOCKERS_PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [
        {"names": ["unshare", "setns", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]
    + [
        {
            "names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM,
            "args": [{"index": 0, "value": bit, "valueTwo": bit, "op": "SCMP_CMP_MASKED_EQ"}],
        }
        for bit in (1 << number for number in range(32)) if bit & NAMESPACE_FLAGS
    ],
}  # fmt: skip
"""What Docker's own profile says about namespaces to those without CAP_SYS_ADMIN."""

_numbers = itertools.count(1)


class Container:
    """One container, stopped and removed on exit."""

    def __init__(
        self,
        image: BuiltImage,
        network: str,
        variables: Mapping[str, str],
        *,
        user: int = 1000,
        seccomp: Mapping[str, Any] | None = None,
        hardened: bool = False,
    ) -> None:
        """Take the image, the name of its network namespace, and the variables of the environment.

        `seccomp` is which system calls are forbidden: by default what our profile forbids. `hardened`
        adds --cap-drop ALL and --security-opt no-new-privileges.
        """
        self.name = f"catnap-test-{os.getpid()}-{next(_numbers)}"
        self._image = image
        self._configuration = image.configuration()
        self._network = network
        self._variables = dict(variables)
        self._user = user
        self._seccomp = json.loads(PROFILE.read_text()) if seccomp is None else seccomp
        self._hardened = hardened
        self._directory = Path(tempfile.mkdtemp(prefix="catnap-container-"))
        self._runc = ["runc", "--root", str(self._directory / "runc")]
        self._log = self._directory / "log"
        self._root_name = ""
        self.root = Path()
        self.control_file = self._directory / "scale_to_zero_disable"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.control_file.touch()
        self.control_file.chmod(0o666)
        try:
            self._root_name, self.root = self._image.new_root()
            # where the platform would have it
            target = self.root / CONTROL_FILE.relative_to("/")
            target.parent.mkdir(parents=True)
            target.touch()
            (self._directory / "config.json").write_text(json.dumps(self._specification()))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(f"--- log of the container\n{self.log}\n")
        self.remove()
        if self._root_name:
            self._image.remove_root(self._root_name)
        shutil.rmtree(self._directory)

    @property
    def log(self) -> str:
        """What `docker logs` would show."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def gate(self) -> str:
        """The last command written to the control file."""
        return self.control_file.read_text()

    def start(self) -> None:
        """Start it; it runs from now on in the background."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._runc, "run", "--bundle", str(self._directory), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait_until_healthy(self) -> None:
        """Wait until the image's own health check is content."""
        wait_until(self._is_healthy, within=START_DEADLINE, what="the health check inside succeeds")

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the container ended with {self.process.returncode}:\n{self.log}"
        return "module=app" in self.log and self.health().returncode == 0

    def health(self) -> subprocess.CompletedProcess[str]:
        """Run the image's health check inside."""
        kind, *command = self._configuration["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.execute(*command)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as the container's user."""
        return self._run("exec", self.name, *command)

    @property
    def init(self) -> psutil.Process:
        """The container's process 1, as this machine sees it."""
        return psutil.Process(json.loads(self._run("state", self.name).stdout)["pid"])

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs in the container."""
        init = self.init
        return [init, *init.children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        """Send process 1 a signal, as `docker kill` does."""
        self._run("kill", self.name, number.name)

    def wait(self, within: float = STOP_DEADLINE) -> int:
        """Wait for the container's end and return its exit code (128 + a signal's number)."""
        assert self.process is not None
        return self.process.wait(within)

    def remove(self) -> None:
        """End whatever still runs and forget the container; its files stay until exit."""
        if self.process is None:
            return
        self._run("delete", "--force", self.name)
        self.process.wait()
        self.process = None

    def _run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._runc, command, *arguments],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def _specification(self) -> dict[str, Any]:
        config = self._configuration
        variables = [*config["Env"], *(f"{key}={value}" for key, value in self._variables.items())]
        capabilities = {"bounding": [] if self._hardened else CAPABILITIES}
        if self._user == 0:
            capabilities |= {"effective": CAPABILITIES, "permitted": CAPABILITIES}
        specification: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": self._user, "gid": self._user},
                "args": [*config["Entrypoint"], *config["Cmd"]],
                "env": variables,
                "cwd": config["WorkingDir"],
                "capabilities": capabilities,
                "noNewPrivileges": self._hardened,
            },
            "root": {"path": str(self.root), "readonly": False},
            "hostname": "catnap",
            "mounts": [
                {"destination": where, "type": kind, "source": source, "options": options}
                for where, kind, source, options in MOUNTS
            ]
            + [
                {
                    "destination": str(CONTROL_FILE), "type": "bind", "source": str(self.control_file),
                    "options": ["bind", "rw"],
                }
            ],
            "linux": {
                "cgroupsPath": f"/{self.name}",
                "seccomp": self._seccomp,
                "namespaces": [
                    *({"type": kind} for kind in ("pid", "ipc", "uts", "mount")),
                    {"type": "network", "path": f"/run/netns/{self._network}"},
                ],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        }  # fmt: skip
        return specification
