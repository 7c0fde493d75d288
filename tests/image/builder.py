"""The image, built as an operator builds it, in a store of its own that disappears with it."""

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "bookworm"
BASE = f"debian:{RELEASE}-slim"
"""The base that the Dockerfile names; made here from the machine's own package sources, never pulled."""
NAME = "catnap:test"
SLIM = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*")
"""What makes Debian's slim images slim."""
PROGRAMS = ("buildah", "runc", "mmdebstrap", "ip")


def why_not() -> str:
    """Return why this machine cannot build and run the image, or nothing when it can."""
    if os.geteuid() != 0:
        return "building and running the image takes root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(missing)} here (apt-get install buildah runc mmdebstrap iproute2)"
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != RELEASE:
        return f"the base image is made from this machine's package sources, which are not Debian {RELEASE}'s"
    return ""


class BuiltImage:
    """An image in a store of its own, from enter to exit."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="catnap-image-"))
        configuration = self._directory / "storage.conf"
        configuration.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self._directory}/graph"\n'
            f'runroot = "{self._directory}/run"\n'
        )
        self._environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(configuration),
            "TMPDIR": str(self._directory),
        }
        self.size = ""

    def __enter__(self) -> Self:
        try:
            self._import_base()
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def new_root(self) -> tuple[str, Path]:
        """Make a file system from the image; return its name for `remove_root` and where it is mounted."""
        name = self._buildah("from", "--pull-never", NAME)
        return name, Path(self._buildah("mount", name))

    def remove_root(self, name: str) -> None:
        """Remove a file system."""
        self._buildah("umount", name)
        self._buildah("rm", name)

    def configuration(self) -> dict[str, Any]:
        """Return how the image says that it wants to be run, in Docker's words."""
        described = json.loads(self._run("buildah", "inspect", "--type", "image", NAME))
        result: dict[str, Any] = described["Docker"]["config"]
        return result

    def _import_base(self) -> None:
        """Make the smallest Debian from the package sources that this machine uses itself."""
        archive = self._directory / "base.tar"
        sources = [
            str(path)
            for path in (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))
            if path.is_file() and path.stat().st_size
        ]
        options = [f"--dpkgopt={option}" for option in (*SLIM, "force-unsafe-io")]
        self._run("mmdebstrap", "--quiet", "--variant=minbase", *options, RELEASE, str(archive), *sources)
        container = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", container, str(archive), "/")
        self._buildah("commit", "--quiet", "--rm", container, BASE)
        archive.unlink()

    def _build(self) -> None:
        environment = {**self._environment, "BUILDER": "buildah"}
        words = self._run(
            str(ROOT / "scripts/image"), NAME, "--isolation=chroot", "--pull-never", "--network=host",
            environment=environment,
        )  # fmt: skip
        found = re.search(rf"^image: {re.escape(NAME)}: (.*)$", words, re.MULTILINE)
        assert found, f"scripts/image did not say how large the image is:\n{words[-2000:]}"
        self.size = found[1]

    def _buildah(self, *arguments: str) -> str:
        return self._run("buildah", *arguments).strip().rpartition("\n")[2]

    def _run(self, *command: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            command, env=environment or self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}"
        )
        return done.stdout

    def _remove(self) -> None:
        mounts = [
            line.split()[1]
            for line in Path("/proc/mounts").read_text().splitlines()
            if str(self._directory) in line
        ]
        for mount in sorted(mounts, key=len, reverse=True):
            subprocess.run(["umount", mount], check=False)
        shutil.rmtree(self._directory)
