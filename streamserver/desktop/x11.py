"""How to reach an X display: its name, the secret that opens it, and whose server it is."""

import re
from dataclasses import dataclass
from pathlib import Path

import xcffib
from xcffib.ffi import ffi

from streamserver.desktop import xauthority as authority_file
from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError

_LOCAL_NAME = re.compile(r"(?:unix)?:(\d{1,5})(?:\.\d+)?")


@dataclass(frozen=True)
class XDisplay:
    """A running (or soon running) X server of this machine.

    Attributes:
        name: what goes into DISPLAY, such as ":7".
        xauthority: file with the server's cookie; None for a server that asks for none.
        owner: whose process the server is; shared memory handed to it must be readable by that user.
    """

    name: str
    xauthority: Path | None
    owner: Account | None

    @property
    def number(self) -> int:
        """The display's number."""
        return display_number(self.name)

    @property
    def socket(self) -> Path:
        """The server's listening socket in the file system."""
        return Path(f"/tmp/.X11-unix/X{self.number}")  # noqa: S108 - fixed by the X protocol

    def connect(self) -> xcffib.Connection:
        """Return a new connection of the caller's own (blocks for some milliseconds at most).

        Raises:
            DesktopError: nobody listens there, or the server refuses us.
        """
        cookie = self._cookie()
        if cookie is None:
            try:
                return xcffib.Connection(display=self.name)
            except xcffib.XcffibException as error:
                raise DesktopError(f"cannot connect to X display {self.name}: {error}") from error
        return _connect_with_cookie(self.name, cookie)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a child process finds the display."""
        variables = {"DISPLAY": self.name}
        if self.xauthority is not None:
            variables["XAUTHORITY"] = str(self.xauthority)
        return variables

    def _cookie(self) -> authority_file.AuthEntry | None:
        if self.xauthority is None:
            return None
        try:
            entries = authority_file.unpack(self.xauthority.read_bytes())
        except OSError as error:
            raise DesktopError(f"cannot read the cookie of X display {self.name}: {error}") from error
        return authority_file.find(entries, self.number)


def _connect_with_cookie(name: str, cookie: authority_file.AuthEntry) -> xcffib.Connection:
    """Connect past `xcffib.connect(auth=...)`, which splits cookies at ":" and lets C read freed memory."""
    lib = xcffib.lib
    cookie_name = ffi.new("char[]", cookie.name)
    cookie_data = ffi.new("char[]", cookie.data)
    auth = ffi.new("xcb_auth_info_t *")
    auth.name, auth.namelen = cookie_name, len(cookie.name)
    auth.data, auth.datalen = cookie_data, len(cookie.data)
    screen = ffi.new("int *")
    pointer = lib.xcb_connect_to_display_with_auth_info(name.encode(), auth, screen)
    if code := lib.xcb_connection_has_error(pointer):
        lib.xcb_disconnect(pointer)
        raise DesktopError(f"cannot connect to X display {name}: {xcffib.ConnectionException(code)}")
    connection: xcffib.Connection = xcffib.wrap(pointer)
    connection.pref_screen = screen[0]
    return connection


def display_number(name: str) -> int:
    """Return 7 for ":7", "unix:7" or ":7.0".

    Raises:
        DesktopError: it is not a display of this machine.
    """
    match = _LOCAL_NAME.fullmatch(name)
    if match is None:
        raise DesktopError(f"desktop.display is {name!r}: it must be a display of this machine, such as :0")
    return int(match.group(1))
