"""What people and programs may ask of the gate, over HTTP and on the command line: pin, leases, evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.evidence import Evidence, gather
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.holds import PIN, HoldKey, HoldKind

SHUTTING_DOWN = "the server is shutting down"


@dataclass(frozen=True, slots=True)
class Operations:
    """The gate, as far as others may change it; used on the event loop."""

    controller: GateController
    control_file: Path

    async def pin(self, by: str) -> None:
        """Hold the machine awake until `unpin`; again: no change.

        Args:
            by: who says so, for people.

        Raises:
            GateWriteError: the control file did not take it; it is not pinned, or as it was before.
        """
        await self._hold(PIN, by, None)

    async def unpin(self) -> None:
        """Take the pin away; none: no change. Others who hold the machine awake go on doing so.

        Raises:
            GateWriteError: the control file did not take our `-`; it is still pinned.
        """
        await self.controller.release(PIN).waited()

    async def lease(self, lease_id: str, ttl: float, reason: str) -> None:
        """Hold the machine awake for `ttl` seconds from now; the same id renews.

        Raises:
            GateWriteError: as `pin`.
            LeaseLimitError: there are too many.
        """
        await self._hold(HoldKey(HoldKind.LEASE, lease_id), reason, ttl)

    async def drop(self, lease_id: str) -> None:
        """End a lease now; unknown: no change.

        Raises:
            GateWriteError: never while the cooldown does the writing.
        """
        await self.controller.release(HoldKey(HoldKind.LEASE, lease_id)).waited()

    def evidence(self) -> Evidence:
        """Tell why the machine is awake or may sleep."""
        return gather(self.controller.snapshot(), self.controller.last_write, self.control_file)

    async def _hold(self, key: HoldKey, label: str, ttl: float | None) -> None:
        await self.controller.acquire(key, label=label, ttl=ttl).waited()
        if self.controller.snapshot().drained:
            raise GateWriteError(SHUTTING_DOWN)
