"""The window manager: openbox, told to fill the screen with the browser and to offer nothing else."""

from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.process import ChildProcess, base_environment
from streamserver.desktop.supervisor import Supervisor, describe_exit
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.xserver import write_private
from streamserver.logs import get_logger

log = get_logger("desktop")

CONFIGURATION = """<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew><followMouse>yes</followMouse><raiseOnFocus>no</raiseOnFocus></focus>
  <placement><policy>Smart</policy><center>yes</center></placement>
  <theme><animateIconify>no</animateIconify></theme>
  <desktops><number>1</number><firstdesk>1</firstdesk><popupTime>0</popupTime></desktops>
  <resize><drawContents>yes</drawContents><popupShow>Never</popupShow></resize>
  <!-- neither keys nor menus: whoever controls the browser controls nothing else. No buttons either: every
       click would be held back until openbox has looked at it; so focus follows the pointer -->
  <keyboard/>
  <mouse/>
  <menu/>
  <applications>
    <application type="normal"><decor>no</decor><maximized>yes</maximized><focus>yes</focus></application>
    <application type="dialog"><decor>no</decor><focus>yes</focus></application>
  </applications>
</openbox_config>
"""
"""openbox's rc.xml (openbox.org, Help:Configuration): one desktop, no decorations, windows maximised."""


class WindowManager:
    """openbox on our display, started again when it ends."""

    def __init__(self, account: Account, directory: Path, display: XDisplay) -> None:
        """Take who runs it, where its configuration goes, and the display."""
        self._account = account
        self._directory = directory
        self._display = display
        self._configuration = directory / "openbox.xml"
        self._supervisor = Supervisor("openbox", self._start_once, on_end=self._ended)

    async def start(self) -> None:
        """Start it.

        Raises:
            DesktopError: there is no openbox.
        """
        write_private(self._account, self._configuration, CONFIGURATION.encode())
        await self._supervisor.start()

    async def stop(self) -> None:
        """End it."""
        await self._supervisor.stop()

    async def _start_once(self) -> ChildProcess:
        environment = {
            **base_environment(self._account, self._directory),
            **self._display.environment(),
            # at each change of the keyboard mapping openbox reads the compose table anew: 60 ms of CPU for
            # each character that no key has, and windows that come seconds late
            "XCOMPOSEFILE": "/dev/null",
            # its themes and menus would come from the user's files, which the browser can write
            "XDG_CONFIG_HOME": str(self._directory / "config"),
            "XDG_DATA_HOME": str(self._directory / "data"),
            "XDG_CACHE_HOME": str(self._directory / "cache"),
        }
        return await ChildProcess.start(
            "openbox", ["openbox", "--sm-disable", "--config-file", str(self._configuration)],
            account=self._account, environment=environment, directory=self._directory,
        )  # fmt: skip

    def _ended(self, code: int | None, delay: float) -> None:
        if code is not None:
            log.error("openbox ended; starting it again", seconds=delay, **describe_exit(code))
