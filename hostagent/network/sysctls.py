"""Kernel settings we change, and what they were before, so that `teardown` leaves the host as it was."""

import json
import os
from pathlib import Path

from hostagent.errors import HostError

ROOT = Path("/proc/sys")


class SysctlError(HostError):
    """A kernel setting could not be changed."""


class Sysctls:
    """Settings of the network namespace we are in; the former values are kept in a file until they are put
    back.
    """

    def __init__(self, memory: Path) -> None:
        """Remember former values in `memory`."""
        self._memory = memory

    def read(self, key: str) -> str | None:
        """Return a setting's value, `net/ipv4/ip_forward` for example; None where this kernel has none."""
        try:
            return (ROOT / key).read_text().strip()
        except OSError:
            return None

    def change(self, key: str, value: str) -> None:
        """Set it, after writing down what it was; raises SysctlError."""
        former = self.read(key)
        if former == value:
            return
        if former is not None:
            known = self._load()
            if key not in known:
                self._save(known | {key: former})
        self.write(key, value)

    def write(self, key: str, value: str) -> None:
        """Set it without writing down anything: for interfaces that go away with us; raises SysctlError."""
        try:
            (ROOT / key).write_text(value)
        except OSError as error:
            raise SysctlError(
                f"{ROOT / key} cannot be set to {value}: {error.strerror}; "
                "this needs root, a writable /proc/sys and a kernel with connection tracking"
            ) from error

    def restore(self) -> None:
        """Put everything back; interfaces that are gone are skipped."""
        for key, former in reversed(self._load().items()):
            if self.read(key) is not None:
                self.write(key, former)
        self._memory.unlink(missing_ok=True)

    def _load(self) -> dict[str, str]:
        try:
            known = json.loads(self._memory.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SysctlError(
                f"{self._memory} says what kernel settings were before us, and cannot be read ({error}); "
                "look at it, then remove it"
            ) from error
        return {str(key): str(value) for key, value in known.items()}

    def _save(self, known: dict[str, str]) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        new = self._memory.with_suffix(".new")
        with new.open("w") as file:
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._memory)
