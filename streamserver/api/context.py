"""What the routes work on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from streamserver.api.screencast import Screencast
from streamserver.api.throttle import LoginThrottle
from streamserver.config import Settings
from streamserver.desktop.desktop import Desktop
from streamserver.members.provider import MemberProvider
from streamserver.members.roster import Roster
from streamserver.plugins.health import HealthRegistry
from streamserver.sessions.manager import SessionManager
from streamserver.websocket.manager import WebSocketManager

if TYPE_CHECKING:  # the plugin manager's contract names our ApiManager
    # codecs, which not every command needs
    from streamserver.capture.broadcast import Broadcast
    from streamserver.capture.stills import Stills
    from streamserver.plugins.manager import PluginManager
    from streamserver.webrtc.egress import Egress


@dataclass(frozen=True)
class ApiContext:
    """The parts of the server that the routes use; built by the composition root."""

    settings: Settings
    sessions: SessionManager
    members: MemberProvider
    desktop: Desktop
    websocket: WebSocketManager
    plugins: PluginManager | None
    registry: CollectorRegistry
    health: HealthRegistry
    stills: Stills
    """Pictures of the screen."""
    broadcast: Broadcast
    """The room to an RTMP server."""
    egress: Egress
    """The room to a media server."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, for the login throttle; there for tests."""

    @cached_property
    def screencast(self) -> Screencast:
        """Pictures of the screen for those who may see it."""
        return Screencast(self.stills, self.settings.capture.screencast, self.sessions)

    @cached_property
    def throttle(self) -> LoginThrottle:
        """What slows down failed logins."""
        return LoginThrottle.up_to(self.settings.session.login_delay)

    @cached_property
    def roster(self) -> Roster:
        """The members together with the sessions they have."""
        return Roster(self.members, self.sessions)


def api_context(connection: HTTPConnection) -> ApiContext:
    """FastAPI dependency: the context of the application that serves this request."""
    context = connection.app.state.context
    assert isinstance(context, ApiContext)
    return context


Context = Annotated[ApiContext, Depends(api_context)]
