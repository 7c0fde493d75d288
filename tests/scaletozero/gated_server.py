"""The gate's routes on a real listener; the control file remembers every command, and fails when told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin
from plugins.scaletozero.settings import ScaleToZeroSettings
from streamserver.plugins.contract import Managers
from tests.api.running import API_TOKEN, Running, running
from tests.scaletozero.server_parts import CommandPipe
from tests.waiting import until

WRITTEN = 10.0
"""Seconds within which a write is expected."""


@dataclass
class Gated:
    """A running server with the gate."""

    server: Running
    plugin: ScaleToZeroPlugin
    pipe: CommandPipe
    run_dir: Path

    @property
    def writes(self) -> str:
        return self.pipe.commands

    async def wrote(self, commands: str) -> None:
        """Wait until exactly these commands have been written."""
        await until(lambda: len(self.writes) >= len(commands), within=WRITTEN, what=f"{commands} is written")
        assert self.writes == commands

    def client(self, token: str | None = API_TOKEN, **options: object) -> httpx.AsyncClient:
        return self.server.client(token, **options)

    async def evidence(self) -> dict[str, Any]:
        async with self.client() as client:
            answer = await client.get("/scaletozero")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @property
    def _away(self) -> Path:
        return self.pipe.path.with_name("away")

    def break_file(self) -> None:
        """Let every write fail from now on (EISDIR)."""
        self.pipe.path.rename(self._away)
        self.pipe.path.mkdir()

    def mend_file(self) -> None:
        """Let writes succeed again."""
        self.pipe.path.rmdir()
        self._away.rename(self.pipe.path)

    def remove_file(self) -> None:
        """Let the file be absent from now on."""
        self.pipe.path.rename(self._away)


@asynccontextmanager
async def gated(
    directory: Path, sections: Mapping[str, Mapping[str, object]] | None = None, **settings: object
) -> AsyncIterator[Gated]:
    """Run a server; settings of the gate by name, those of the server by section."""
    pipe = CommandPipe(directory / "control")
    run_dir = directory / "run"
    run_dir.mkdir()
    plugin = ScaleToZeroPlugin()
    section = {"enabled": True, "control_file": pipe.path, "cooldown": 0} | settings
    try:
        async with running(sections) as server:
            managers = Managers(
                sessions=server.sessions,
                websocket=server.context.websocket,
                api=server.api,
                registry=server.context.registry,
                run_dir=run_dir,
                health=server.context.health,
            )
            try:
                await plugin.start(managers, ScaleToZeroSettings.model_validate(section))
                yield Gated(server, plugin, pipe, run_dir)
            finally:
                await plugin.shutdown()
    finally:
        pipe.close()
