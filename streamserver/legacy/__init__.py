"""neko's version 2 protocol, in front of version 3."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, WebSocketRoute

from streamserver.legacy.endpoint import LegacyEndpoint
from streamserver.legacy.routes import LegacyRoutes
from streamserver.sessions.manager import SessionManager
from streamserver.websocket.manager import WebSocketManager


def make_routes(
    websocket: WebSocketManager, sessions: SessionManager, path_prefix: str, *, file_transfer: bool
) -> Sequence[BaseRoute]:
    """Return its routes; `file_transfer`: whether there are files to share."""
    prefix = path_prefix.rstrip("/")
    endpoint = LegacyEndpoint(websocket.endpoint, sessions, prefix, file_transfer=file_transfer)
    routes = LegacyRoutes(endpoint, sessions, prefix)
    return [WebSocketRoute("/ws", endpoint.__call__, name="version 2"), *routes.routes()]
