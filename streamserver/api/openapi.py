"""What the OpenAPI document says about the server as a whole."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

DESCRIPTION = """\
A shared browser. These are neko v3's routes: sessions and members, the room, the desktop.
Real-time messages go over the WebSocket at `/api/ws`, picture, sound and input over WebRTC.

Authenticate with the token of a login (`Authorization: Bearer`, or `?token=`), or with the cookie of one.
A cookie counts only for requests of our own page and of the origins in `server.cors`.
Errors have the body `{"code", "message"}`; a path that is no route is answered with plain text.
"""


def version() -> str:
    """Return the version of the installed server."""
    try:
        return installed_version("catnap")
    except PackageNotFoundError:
        return "0"
