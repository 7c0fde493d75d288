"""What a plugin's middleware may know of the connection that a request came over: `connection_of(scope)`.

ASGI says nothing of it: an answer counts as sent when it has been handed over. Who must know when it has
really left needs the socket.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from starlette.types import Scope

EXTENSION = "catnap.connection"
"""Key in `scope["extensions"]`, of HTTP requests and WebSockets."""


class ClientConnection(Protocol):
    """One TCP connection of a client, the same object for every request that comes over it."""

    @property
    def unsent(self) -> int:
        """Bytes of output that wait in this process; 0 when the connection is closed."""

    def duplicate(self) -> socket.socket:
        """Return a second handle on the socket, which the caller closes.

        The kernel ends the connection when the last handle is closed, so whoever keeps one has to shut the
        socket down for writing when the server has closed its own (`on_closed`).

        Raises:
            OSError: it is closed, or there are no more file descriptors.
        """

    def on_closed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the server closes its handle; returns what undoes this."""

    def abort(self) -> None:
        """End the connection without sending what waits."""


def connection_of(scope: Scope) -> ClientConnection | None:
    """Return the connection of a request; none where another server than ours runs the application."""
    extensions = cast("dict[str, Any]", scope.get("extensions") or {})
    return cast("ClientConnection | None", extensions.get(EXTENSION))
