"""The plugin in docs/plugins.md is found, started, used and stopped as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import JsonValue

from streamserver.api.app import ApiManager
from streamserver.config import Settings
from streamserver.config.settings import PluginsSettings, SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.plugins.contract import Managers
from streamserver.plugins.health import HealthRegistry
from streamserver.plugins.manager import PluginManager, discover
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import ABSENT, Message, Session

if TYPE_CHECKING:
    from streamserver.websocket.manager import WebSocketManager

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
Handler = Callable[[Session, str, JsonValue], bool]


class Handlers:
    """The part of the WebSocket manager that plugins see."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []

    def add_handler(self, handler: Handler) -> Callable[[], None]:
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)


class Socket:
    def __init__(self) -> None:
        self.received: list[tuple[str, object]] = []

    def send(self, event: str, payload: object = ABSENT) -> None:
        self.received.append((event, payload))

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        pass


async def test_the_example_works(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert program is not None
    (tmp_path / "wave.py").write_text(program[1])

    plugins = PluginsSettings(enabled=True, dir=tmp_path, required=True)
    discovered = discover(plugins)
    assert discovered.failures == ()
    section = discovered.models()["wave"].model_validate({"greeting": "moin"})
    manager = PluginManager(discovered, Settings(plugins=plugins, plugin_settings={"wave": section}))

    sessions, handlers, app = SessionManager(SessionSettings()), Handlers(), FastAPI()
    managers = Managers(
        sessions=sessions,
        websocket=cast("WebSocketManager", handlers),
        api=ApiManager(app, lambda inner: inner),
        registry=CollectorRegistry(),
        run_dir=tmp_path,
        health=HealthRegistry(),
    )
    await manager.start(managers)
    ann, _ = sessions.create("ann", MemberProfile(name="Ann", can_login=True, can_connect=True))
    socket = Socket()
    await sessions.connect(ann, socket)

    handle = handlers.handlers[-1]
    assert handle(ann, "wave/wave", None)
    assert not handle(ann, "something/else", None)
    received = [message for message in socket.received if message[0] == "wave/wave"]
    assert received == [("wave/wave", {"id": "ann", "greeting": "moin"})]
    assert managers.registry.get_sample_value("wave_waves_total") == 1
    assert list(managers.health.check()) == ["wave"]
    assert "/api/wave" in app.openapi()["paths"]
    states = {row["name"]: row["state"] for row in manager.describe()}
    assert states["wave"] == "started"

    await manager.shutdown()
    assert handlers.handlers == []
    assert managers.health.check() == {}
    await sessions.stop()
