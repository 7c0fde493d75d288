"""The plugin with the real session manager, and people made of a few lines."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry

from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin
from plugins.scaletozero.settings import ScaleToZeroSettings
from streamserver.config.settings import SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.plugins.contract import Managers
from streamserver.plugins.health import HealthRegistry
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import ABSENT, Message, Session

if TYPE_CHECKING:
    from streamserver.api.app import ApiManager
    from streamserver.websocket.manager import WebSocketManager

PROFILE = MemberProfile(name="Ann", can_login=True, can_connect=True, can_watch=True, can_host=True)


class Socket:
    """A WebSocket without a network."""

    def __init__(self) -> None:
        self.closed: str | None = None

    def send(self, event: str, payload: object = ABSENT) -> None:
        pass

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        self.closed = reason


class Media:
    """A WebRTC peer without a network."""

    def set_paused(self, paused: bool) -> None:
        pass

    def close(self, reason: str) -> None:
        pass


class NoRoutes:
    """Where routes and middleware go when a test asks nothing over HTTP."""

    def add_root_router(self, prefix: str, router: object) -> None:
        pass

    def add_middleware(self, cls: object, **options: object) -> None:
        pass


class CommandPipe:
    """A control file that remembers every command: a named pipe, read here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._seen = ""

    @property
    def commands(self) -> str:
        with contextlib.suppress(BlockingIOError):
            self._seen += os.read(self._descriptor, 10_000).decode()
        return self._seen

    def close(self) -> None:
        os.close(self._descriptor)


class Server:
    """As much of the server as the gate needs."""

    def __init__(self, run_dir: Path, *, disconnect_delay: float = 0.2) -> None:
        self.sessions = SessionManager(SessionSettings(disconnect_delay=disconnect_delay))
        self.registry = CollectorRegistry()
        self.health = HealthRegistry()
        self.run_dir = run_dir
        self.plugin = ScaleToZeroPlugin()

    async def start(self, control_file: Path, **settings: object) -> None:
        section: Mapping[str, object] = {
            "enabled": True,
            "control_file": control_file,
            "cooldown": 0.05,
        } | settings
        await self.plugin.start(self.managers, ScaleToZeroSettings.model_validate(section))

    @property
    def managers(self) -> Managers:
        return Managers(
            sessions=self.sessions,
            websocket=cast("WebSocketManager", object()),
            api=cast("ApiManager", NoRoutes()),
            registry=self.registry,
            run_dir=self.run_dir,
            health=self.health,
        )

    async def join(self, name: str) -> tuple[Session, Socket]:
        session, _ = self.sessions.create(name, PROFILE)
        return session, await self.connect(session)

    async def connect(self, session: Session) -> Socket:
        socket = Socket()
        await self.sessions.connect(session, socket)
        return socket

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


async def loop_is_quick(seconds: float) -> float:
    """Return the longest pause of the event loop in that time."""
    longest, end = 0.0, asyncio.get_running_loop().time() + seconds
    while (before := asyncio.get_running_loop().time()) < end:
        await asyncio.sleep(0)
        longest = max(longest, asyncio.get_running_loop().time() - before)
    return longest
