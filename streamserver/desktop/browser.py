"""The browser: Chromium with its sandbox, kept running."""

import enum
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import Counter

from streamserver.config.settings import BrowserSettings
from streamserver.config.types import ScreenSize
from streamserver.desktop import browser_profile, sandbox
from streamserver.desktop.account import Account
from streamserver.desktop.browser_profile import BrowserProfile
from streamserver.desktop.devtools import FLAG as DEVTOOLS_FLAG
from streamserver.desktop.devtools import DevTools, PipeEnds
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess, base_environment
from streamserver.desktop.supervisor import Supervisor, describe_exit
from streamserver.logs import get_logger

STOP_GRACE = 8.0
"""Seconds that Chromium gets to write its profile."""
KNOWN_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that take the same options, tried in this order when `browser.command` is not there."""

QUIET = (
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--no-pings",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--hide-crash-restore-bubble",
    "--disable-session-crashed-bubble",
    "--noerrdialogs",
    "--password-store=basic",
    "--disable-features=Translate,MediaRouter,OptimizationHints,AutofillServerCommunication,"
    "CertificateTransparencyComponentUpdater,GlobalMediaControls,DestroyProfileOnBrowserClose",
)
"""No questions at start, nothing fetched that nobody asked for."""
SOFTWARE = ("--disable-gpu",)
"""Without a GPU the software compositor costs least: it paints only what changed, as the capture likes it."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the C library puts it
ENOUGH_SHARED_MEMORY = 512 * 1024 * 1024
"""Bytes of `/dev/shm` below which tabs die for want of it: Docker gives a container 64 MiB."""

log = get_logger("desktop")


class BrowserState(enum.Enum):
    """What the browser is doing."""

    STARTING = "starting"
    """The process runs, no window yet."""
    RUNNING = "running"
    """A window is shown."""
    CRASHED = "crashed"
    """It ended by itself just now."""
    WAITING = "waiting"
    """It will be started again after the back-off."""
    STOPPED = "stopped"
    """Not running, and nothing will start it."""


class Browser:
    """Chromium on the display; starts again, with back-off, whenever it ends."""

    def __init__(
        self,
        settings: BrowserSettings,
        account: Account,
        directory: Path,
        restarts: Counter,
        on_state: Callable[[BrowserState], object],
        on_devtools: Callable[[DevTools | None], object] | None = None,
    ) -> None:
        """Take who runs it, the run directory, what counts its new starts, and whom to tell of states.

        `on_devtools` is told the connection to each new process, and None when that ended; without it there
        is none.
        """
        self._settings = settings
        self._account = account
        self._directory = directory
        self._on_state = on_state
        self._on_devtools = on_devtools
        self._devtools: DevTools | None = None
        self._environment: dict[str, str] = {}
        self._screen = ScreenSize(1280, 720)
        self._supervisor: Supervisor | None = None
        self._restarts = restarts
        self.profile = BrowserProfile(account, settings.profile_dir or account.home / browser_profile.DEFAULT)
        self.state = BrowserState.STOPPED

    @property
    def pid(self) -> int | None:
        """The browser's main process, None while it does not run."""
        child = self._supervisor.child if self._supervisor else None
        return child.pid if child else None

    def command(self) -> str:
        """Return the program to run.

        Raises:
            DesktopError: there is none, or it would refuse to run as root.
        """
        if self._account.uid == 0 and self._settings.sandbox:
            raise DesktopError(
                "browser.user is root, under which Chromium's sandbox does not work: name another user "
                "(scripts/run creates catnap) or set browser.sandbox to false"
            )
        for name in dict.fromkeys((self._settings.command, *KNOWN_COMMANDS)):
            if found := shutil.which(name):
                if name != self._settings.command:
                    log.warning("browser.command is missing", command=self._settings.command, using=found)
                return found
        raise DesktopError(
            f"browser.command is {self._settings.command!r}, but there is no such program: "
            "apt install chromium, or give the path of another Chromium"
        )

    def check_sandbox(self) -> None:
        """See whether it can have the sandbox that it is to have. It blocks: call it on a thread.

        Raises:
            DesktopError: it cannot.
        """
        if self._settings.sandbox and (reason := sandbox.why_not(self._account)):
            raise DesktopError(reason)

    async def start(self, environment: Mapping[str, str], screen: ScreenSize) -> None:
        """Start it with these variables (display, sound) on a screen of this size.

        Raises:
            DesktopError: it cannot be started.
        """
        self.command()
        if not self._settings.sandbox:
            log.warning("the browser runs without its sandbox: any page that breaks it owns the account",
                        user=self._account.name)  # fmt: skip
        self._environment = {**base_environment(self._account, self._directory), **environment}
        self._screen = screen
        self._supervisor = Supervisor(
            "browser", self._start_once, on_start=self._started, on_end=self._ended, stop_grace=STOP_GRACE
        )
        await self._supervisor.start()

    async def stop(self, state: BrowserState = BrowserState.STOPPED) -> None:
        """End it; it gets time to write its profile. `state` is what to call it then."""
        if self._supervisor is not None:
            await self._supervisor.stop()
            self._supervisor = None
        self._close_devtools()
        self._set_state(state)

    def resized(self, screen: ScreenSize) -> None:
        """Say how large the screen is, for the next start."""
        self._screen = screen

    def windows_changed(self, count: int) -> None:
        """Say how many windows are on the display."""
        if count and self.state is BrowserState.STARTING:
            self._set_state(BrowserState.RUNNING)

    def arguments(self) -> list[str]:
        """Return the command-line arguments."""
        arguments = [
            *QUIET, *SOFTWARE,
            f"--user-data-dir={self.profile.directory}",
            "--start-maximized",
            "--window-position=0,0",
            f"--window-size={self._screen.width},{self._screen.height}",
        ]  # fmt: skip
        if not self._settings.sandbox:
            arguments.append("--no-sandbox")
        if not has_enough_shared_memory():
            arguments.append("--disable-dev-shm-usage")
        if self._on_devtools is not None:
            arguments.append(DEVTOOLS_FLAG)
        return [*arguments, *self._settings.flags, self._settings.url]

    async def _start_once(self) -> ChildProcess:
        self.profile.prepare()
        self._set_state(BrowserState.STARTING)
        self._close_devtools()
        command = [self.command(), *self.arguments()]
        if self._on_devtools is None:
            return await self._run(command)
        ends = PipeEnds()
        try:
            child = await self._run(ends.command(command), ends.theirs_in, ends.theirs_out)
        except BaseException:
            ends.close_ours()
            raise
        finally:
            ends.close_theirs()
        self._devtools = DevTools()
        await self._devtools.open(ends)
        self._on_devtools(self._devtools)
        return child

    async def _run(self, command: list[str], *descriptors: int) -> ChildProcess:
        return await ChildProcess.start(
            "browser", command,
            account=self._account, environment=self._environment, directory=self._directory,
            keep_open=descriptors,
            stop_signal=signal.SIGINT,  # at SIGTERM it leaves in a hurry and forgets recent cookies
        )  # fmt: skip

    def _close_devtools(self) -> None:
        if self._devtools is not None and self._on_devtools is not None:
            self._on_devtools(None)
            self._devtools.close()
            self._devtools = None

    def _started(self, child: ChildProcess) -> None:
        log.info("browser started", pid=child.pid, user=self._account.name)

    def _ended(self, code: int | None, delay: float) -> None:
        self._restarts.inc()
        if code == 0:
            log.info("the browser was closed; starting it again", seconds=delay)
        elif code is not None:
            log.error("the browser crashed; starting it again", seconds=delay, **describe_exit(code))
            self._set_state(BrowserState.CRASHED)
        self._set_state(BrowserState.WAITING)

    def _set_state(self, state: BrowserState) -> None:
        if state is not self.state:
            self.state = state
            self._on_state(state)


def has_enough_shared_memory(directory: Path = SHARED_MEMORY, enough: int = ENOUGH_SHARED_MEMORY) -> bool:
    """Tell whether the file system there is so large that the browser may share memory in it."""
    try:
        size = os.statvfs(directory)
    except OSError:
        return False
    return size.f_blocks * size.f_frsize >= enough
