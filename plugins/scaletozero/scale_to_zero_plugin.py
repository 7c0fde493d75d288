"""The plugin: puts the gate together and connects it to sessions, log, metrics and health."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from pydantic import BaseModel

from plugins.scaletozero.callers import networks
from plugins.scaletozero.commands import GateWriteError
from plugins.scaletozero.control_file import ControlFile
from plugins.scaletozero.control_socket import ControlSocket, SocketInUseError
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.idle_viewers import IdleViewers
from plugins.scaletozero.marker import (
    FileMarker,
    Legacy,
    MarkerInUseError,
    NoMarker,
    Recovery,
    read_boot_id,
)
from plugins.scaletozero.metrics import GateMetrics
from plugins.scaletozero.operations import Operations
from plugins.scaletozero.request_holds import HoldRequests, RequestHolds
from plugins.scaletozero.routes import PREFIX, GateRoutes
from plugins.scaletozero.session_holds import SessionHolds
from plugins.scaletozero.settings import ScaleToZeroSettings
from plugins.scaletozero.snapshot import Gate, GateSnapshot
from plugins.scaletozero.write_log import WriteLog
from streamserver.logs import get_logger
from streamserver.plugins.contract import Managers
from streamserver.plugins.health import HealthReport, HealthStatus

log = get_logger("scaletozero")


JOIN_TIMEOUT = 0.5
"""Seconds that a shutdown waits for the writer's thread once nothing is left to write."""


class ScaleToZeroPlugin:
    """Holds the machine awake while somebody is connected."""

    name = "scaletozero"
    settings_model: type[BaseModel] = ScaleToZeroSettings

    def __init__(self) -> None:
        self._controller: GateController | None = None
        self._holds: SessionHolds | None = None
        self._socket: ControlSocket | None = None
        self._undo = contextlib.ExitStack()

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        """Recover from a crash of an earlier run, then follow the sessions."""
        assert isinstance(settings, ScaleToZeroSettings)
        if not settings.enabled:
            log.info("scale-to-zero plugin disabled", setting="scaletozero.enabled")
            return
        path = settings.control_file
        marker = await asyncio.to_thread(_claim_marker, managers.run_dir, path)
        controller = GateController(
            GateState(cooldown=settings.cooldown, patience=settings.write_timeout),
            ControlFile(path),
            marker or NoMarker(),
            write_timeout=settings.write_timeout,
            drain_timeout=settings.drain_timeout,
        )
        if marker is not None:
            self._undo.callback(marker.release)
            if _recovered(await asyncio.to_thread(marker.recover), path):
                controller.adopt()
        metrics = GateMetrics(managers.registry, controller.snapshot)
        self._undo.callback(metrics.close)
        self._undo.callback(
            managers.health.register(self.name, lambda: gate_health(controller.snapshot(), path))
        )
        controller.on_write(metrics.count)
        controller.on_write(WriteLog(path).note)
        controller.start()
        if settings.requests:
            requests = RequestHolds(
                controller,
                ignore_paths=settings.ignore_paths,
                response_drain=settings.response_drain,
            )
            self._undo.callback(requests.close)
            managers.api.add_middleware(HoldRequests, holds=requests)
        self._controller = controller
        self._holds = SessionHolds(managers.sessions, controller)
        operations = Operations(controller, path)
        managers.api.add_root_router(
            PREFIX, GateRoutes(operations, networks(settings.trusted_cidrs)).router()
        )
        self._socket = await _open_socket(managers.run_dir, operations)
        log.info("scale-to-zero plugin enabled", gate=controller.snapshot().gate.value)
        await self._holds.attach()
        if settings.idle_viewer_timeout:
            idle = IdleViewers(managers.sessions, managers.websocket, settings.idle_viewer_timeout)
            self._undo.callback(idle.detach)
            idle.attach()

    async def shutdown(self) -> None:
        """Take our `+` back and forget all holds; wait at most `scaletozero.drain_timeout` for the file."""
        with self._undo:
            controller, holds = self._controller, self._holds
            self._controller = self._holds = None
            if controller is None or holds is None:
                return
            holds.detach()
            try:
                await _drain(controller, holds.pending)
            finally:
                controller.close()
                await asyncio.to_thread(controller.join, JOIN_TIMEOUT)
                if self._socket is not None:
                    await self._socket.close()
                    self._socket = None


async def _open_socket(run_dir: Path, operations: Operations) -> ControlSocket | None:
    control_socket = ControlSocket(run_dir, operations)
    try:
        await control_socket.open()
    except (OSError, SocketInUseError) as error:
        log.warning("`catnap scaletozero` cannot reach this server", reason=str(error))
        return None
    return control_socket


async def _drain(controller: GateController, released: int) -> None:
    try:
        await controller.drain().waited()
    except GateWriteError as error:
        log.error(
            "scale-to-zero is not re-enabled: our '+' may still be in the counter; the crash marker "
            "tells the next start in this boot",
            error=str(error),
        )
    line = f"shutdown started, re-enabling scale-to-zero (pending: {released})"
    log.info(line, gate=controller.snapshot().gate.value)


def gate_health(now: GateSnapshot, control_file: Path) -> HealthReport:
    """Say how the gate is doing: degraded while a write that is needed does not succeed."""
    details: dict[str, str | int | float | bool | None] = {
        "gate": now.gate.value,
        "pending": now.pending,
        "holds": len(now.holds),
        "failures": now.failures,
        "last_error": now.last_error or None,
    }
    if now.gate is not Gate.FAILING:
        return HealthReport(HealthStatus.OK, details=details)
    meaning = "may sleep under its users" if now.holds else "stays awake"
    reason = now.last_error or f"a write has been under way for {now.in_flight_seconds:.1f} s"
    return HealthReport(
        HealthStatus.DEGRADED,
        f"the machine {meaning}: {control_file} does not take our write ({reason}); it is retried",
        details,
    )


def _claim_marker(run_dir: Path, control_file: Path) -> FileMarker | None:
    marker = FileMarker(run_dir, control_file, read_boot_id())
    try:
        marker.claim()
    except MarkerInUseError as error:
        log.warning("no crash marker: a crash will leave the counter raised", reason=str(error))
    except OSError as error:
        log.warning(
            "no crash marker: a crash will leave the counter raised",
            path=str(marker.path),
            errno=error.errno,
            reason=error.strerror,
        )
    else:
        return marker
    return None


def _recovered(recovery: Recovery, control_file: Path) -> bool:
    """Log what an earlier run left; return whether its `+` is ours to take back."""
    match recovery.legacy:
        case Legacy.OURS:
            log.warning(
                "taking back what an earlier run left", reason=recovery.reason, path=str(control_file)
            )
        case Legacy.UNKNOWN:
            log.warning(
                "the counter may be one too high and is left alone, so that nobody's work is suspended",
                reason=recovery.reason,
                remedy=f"if nothing else uses it: echo -n '=0' > {control_file}",
            )
        case Legacy.NOTHING if recovery.reason:
            log.info("nothing to take back", reason=recovery.reason)
    return recovery.legacy is Legacy.OURS
