"""A display that somebody else started and that we attach to."""

import os
import socket
import struct
from pathlib import Path

import xcffib
import xcffib.xproto

from streamserver.desktop import account as accounts
from streamserver.desktop import xauthority
from streamserver.desktop.account import Account
from streamserver.desktop.x11 import XDisplay, display_number
from streamserver.desktop.xserver import write_private


def attach(name: str, account: Account, directory: Path) -> XDisplay:
    """Return how to reach a running display, with a cookie file that the account can read as well.

    Raises:
        DesktopError: it is not a display of this machine, or it refuses us.
    """
    number = display_number(name)
    cookie_file: Path | None = None
    cookie = _cookie(number)
    if cookie is not None:
        cookie_file = directory / "Xauthority"
        wild = xauthority.AuthEntry(xauthority.FAMILY_WILD, b"", b"", cookie.name, cookie.data)
        write_private(account, cookie_file, xauthority.pack([wild]))
    connection = XDisplay(name, cookie_file, None).connect()
    try:
        return XDisplay(name, cookie_file, _owner(connection))
    finally:
        connection.disconnect()


def has_window_manager(connection: xcffib.Connection) -> bool:
    """Whether a window manager runs on the display (ICCCM 2.8: it owns the selection WM_S0)."""
    core = xcffib.xproto.xprotoExtension(connection)
    selection = f"WM_S{connection.pref_screen}"
    atom = core.InternAtom(False, len(selection), selection).reply().atom
    return bool(core.GetSelectionOwner(atom).reply().owner)


def _cookie(number: int) -> xauthority.AuthEntry | None:
    path = Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority")
    try:
        return xauthority.find(xauthority.unpack(path.read_bytes()), number)
    except OSError:
        return None


def _owner(connection: xcffib.Connection) -> Account:
    with socket.fromfd(connection.get_file_descriptor(), socket.AF_UNIX, socket.SOCK_STREAM) as link:
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return accounts.of_uid(uid)
