"""The desktop: X server, window manager, sound and browser started in order, watched, stopped in reverse."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import xcffib
from prometheus_client import CollectorRegistry, Counter

from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.config.types import ScreenSize
from streamserver.desktop import account as accounts
from streamserver.desktop import attached_display, randr
from streamserver.desktop.backoff import Backoff
from streamserver.desktop.browser import Browser, BrowserState
from streamserver.desktop.clipboard import Clipboard
from streamserver.desktop.cursor import CursorImage
from streamserver.desktop.devtools import DevTools, DevToolsError
from streamserver.desktop.display_events import DisplayEvents
from streamserver.desktop.drop import DropError, drop
from streamserver.desktop.errors import DesktopError, ScreenRefused
from streamserver.desktop.file_chooser import FileChooser
from streamserver.desktop.input import Input
from streamserver.desktop.keyboard import Keyboard
from streamserver.desktop.microphone import Microphone
from streamserver.desktop.pages import Pages
from streamserver.desktop.programs import Programs
from streamserver.desktop.run_directory import RunDirectory
from streamserver.desktop.sound import SoundDaemon, SoundServer
from streamserver.desktop.supervisor import describe_exit
from streamserver.desktop.touch import Touch
from streamserver.desktop.uploads import Uploads
from streamserver.desktop.window_manager import WindowManager
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.xserver import XServer, is_running, number_to_start
from streamserver.logs import get_logger
from streamserver.signals import Signal

HOLD_CHECK_INTERVAL = 1.0
"""Seconds between two looks for keys that were forgotten (neko: 1 s)."""
LOSS_PATIENCE = 1.0
"""Seconds that a lost X connection is given to turn out as the end of the X server."""
ATTACH_INTERVAL = 1.0
"""Seconds between two looks for a display that we were attached to and that went away."""

log = get_logger("desktop")


class Desktop:
    """One shared display with a browser on it.

    Attributes:
        input: pointer and keyboard.
        keyboard: its layout and locks; only after `start`.
        touch: fingers on the screen.
        clipboard: what is copied and pasted.
        file_chooser: the dialog with which a page asks for files.
        uploads: files of viewers, for pages; only after `start`.
        sound: where the browser's sound is; None on a machine without PulseAudio.
        screen: size in px and rate in frames per second.
        cursor_image: what the pointer looks like now.
        on_screen_changed: told the new screen.
        on_cursor_image: told each new picture of the pointer.
        on_browser_state: told what the browser does.
        on_display_restarted: told when the X server is back after it ended; its name and cookie are the same.
    """

    def __init__(
        self,
        settings: DesktopSettings,
        browser: BrowserSettings,
        run_dir: Path,
        registry: CollectorRegistry,
        microphone: str = "",
    ) -> None:
        """Prepare; nothing is started and nothing touched yet. `microphone`: a sink for what viewers say."""
        self._microphone_sink = microphone
        self._settings = settings
        self._browser_settings = browser
        self._run_dir = run_dir
        self._restarts = Counter(
            "catnap_display_restarts_total", "Times the X server ended and came back.", registry=registry
        )
        self._browser_restarts = Counter(
            "catnap_browser_restarts_total",
            "Times the browser ended and was started again.",
            registry=registry,
        )
        self._server: XServer | None = None
        self._display: XDisplay | None = None
        self._directory: RunDirectory | None = None
        self._sound_daemon: SoundDaemon | None = None
        self._window_manager: WindowManager | None = None
        self._browser: Browser | None = None
        self._connection: xcffib.Connection | None = None
        self._events: DisplayEvents | None = None
        self._lost = asyncio.Event()
        self._screen_lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.input = Input()
        self.clipboard = Clipboard()
        self.touch = Touch(self.input, self._is_window, enabled=settings.input.enabled)
        self.file_chooser = FileChooser()
        self.keyboard = Keyboard(self.input, accounts.lookup(None))
        self.uploads = Uploads(run_dir, accounts.lookup(None))
        self._pages: Pages | None = None
        self._programs: Programs | None = None
        self._attaching: asyncio.Task[None] | None = None
        self.sound: SoundServer | None = None
        self.screen = settings.screen
        self.cursor_image: CursorImage | None = None
        self.on_screen_changed: Signal[ScreenSize] = Signal("screen changed")
        self.on_cursor_image: Signal[CursorImage] = Signal("cursor image")
        self.on_browser_state: Signal[BrowserState] = Signal("browser state")
        self.on_display_restarted: Signal[XDisplay] = Signal("display restarted")

    @property
    def display(self) -> XDisplay:
        """How to reach the X display; only after `start`."""
        assert self._display is not None, "the desktop has not been started"
        return self._display

    @property
    def browser_state(self) -> BrowserState:
        """What the browser does."""
        return self._browser.state if self._browser else BrowserState.STOPPED

    @property
    def browser_pid(self) -> int | None:
        """The browser's main process, None while it does not run."""
        return self._browser.pid if self._browser else None

    @property
    def microphone(self) -> Microphone | None:
        """The browser's microphone; None without sound, or when there is to be none."""
        if self.sound is None or not self._microphone_sink:
            return None
        return Microphone(self.sound, self._microphone_sink)

    async def start(self) -> None:
        """Start everything and return when the browser's process runs.

        Raises:
            DesktopError: something needed is missing or refused; what was started has been stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in the reverse order and remove what was left on disk, except the profile."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._programs is not None:
            await self._programs.stop()
            self._programs = None
        if self._browser is not None:
            await self._browser.stop()
            self._browser.profile.release()
            self._browser = None
        if self._sound_daemon is not None:
            await self._sound_daemon.stop()
            self._sound_daemon = None
        await self._stop_window_manager()
        self._disconnect(restore=self._server is None)
        if self._server is not None:
            await self._server.stop()
            self._server = None
        if self._directory is not None:
            await asyncio.to_thread(self._directory.release)
            self._directory = None

    def cursor_position(self) -> tuple[int, int]:
        """Return where the pointer was put last, in px from the top left."""
        return self.input.position

    def screen_configurations(self) -> list[ScreenSize]:
        """Return the sizes and rates to offer, smallest first."""
        return randr.configurations(self._settings.max_screen)

    async def set_screen(self, wanted: ScreenSize) -> ScreenSize:
        """Change the screen; return what it is now (width a multiple of 8, rate 0 became 60).

        Raises:
            ScreenRefused: the display cannot have that size, or there is no display now.
        """
        async with self._screen_lock:
            try:
                size = await asyncio.to_thread(_apply_screen, self.display, wanted, self._settings.max_screen)
            except DesktopError as error:
                raise error if isinstance(error, ScreenRefused) else ScreenRefused(str(error)) from error
            self._take_screen(size)
        return size

    async def drop(self, files: Sequence[tuple[str, BinaryIO]], x: int, y: int) -> None:
        """Drop files (name, content) on what is at this point of the screen, in px.

        Raises:
            DesktopError: no page is there, or the files cannot be stored.
        """
        if self._pages is None:
            raise DropError("the browser is not there")
        await drop(self._pages, await self.uploads.store(files), x, y)

    async def open_page(self, url: str) -> None:
        """Open an address in a new tab.

        Raises:
            DesktopError: the browser is not there, or refuses.
        """
        if self._pages is None:
            raise DesktopError("the browser is not there")
        await self._pages.devtools.call("Target.createTarget", url=url)

    async def run_program(self, command: Sequence[str]) -> None:
        """Start a program on the display, as the browser's user, without a shell; it ends with the desktop.

        Raises:
            DesktopError: there is no such program, or too many run already.
        """
        if self._programs is None:
            raise DesktopError("the desktop is not there")
        await self._programs.run(command, self._children_environment())

    async def answer_dialog(self, files: Sequence[tuple[str, BinaryIO]]) -> None:
        """Give files (name, content) to the page that asks for some.

        Raises:
            DesktopError: none asks, or the files cannot be stored.
        """
        await self.file_chooser.choose(await self.uploads.store(files))

    async def _start(self) -> None:
        account = accounts.lookup(self._browser_settings.user)
        self._directory = RunDirectory(self._run_dir, account)
        await asyncio.to_thread(self._directory.claim)
        directory = self._directory.path
        self.keyboard = Keyboard(self.input, account)
        self.uploads = Uploads(directory, account)
        self._programs = Programs(account, directory)
        self._browser = Browser(
            self._browser_settings,
            account,
            directory,
            self._browser_restarts,
            self.on_browser_state.emit,
            self._browser_talks if self._needs_pages() else None,
        )
        self._browser.command()
        await asyncio.to_thread(self._browser.check_sandbox)
        await asyncio.to_thread(self._browser.profile.claim)
        self._sound_daemon = SoundDaemon(account, directory, self._microphone_sink)
        sound = asyncio.ensure_future(self._sound_daemon.start())
        try:
            name = self._settings.display
            if name and is_running(name):
                self._display = attached_display.attach(name, account, directory)
                log.info("attached to a running display", display=name)
            else:
                self._server = XServer(account, directory, self._settings.max_screen, number_to_start(name))
            await self._start_display()
        finally:
            self.sound = await sound
        await self._start_browser()
        self._tasks = [
            asyncio.create_task(self._watch(), name="display watch"),
            asyncio.create_task(self._release_forgotten(), name="held keys"),
        ]
        log.info("desktop started", display=self.display.name, screen=str(self.screen), user=account.name)

    async def _start_display(self) -> None:
        """Start the X server when it is ours, set its size, connect, and see to a window manager."""
        assert self._browser is not None
        assert self._directory is not None
        if self._server is not None:
            await self._server.start()
            self._display = self._server.display
        size = await asyncio.to_thread(_apply_screen, self.display, self.screen, self._settings.max_screen)
        self._connect(size)
        assert self._connection is not None
        if self._server is not None or not attached_display.has_window_manager(self._connection):
            account = accounts.lookup(self._browser_settings.user)
            self._window_manager = WindowManager(account, self._directory.path, self.display)
            await self._window_manager.start()

    async def _start_browser(self) -> None:
        assert self._browser is not None
        await self._browser.start(self._children_environment(), self.screen)

    def _children_environment(self) -> dict[str, str]:
        return {**self.display.environment(), **(self.sound.environment() if self.sound else {})}

    def _connect(self, size: ScreenSize) -> None:
        self._disconnect()
        self._lost.clear()
        connection = self.display.connect()
        self._connection = connection
        try:
            self.input.attach(connection, (size.width, size.height))
            events = DisplayEvents(connection)
            events.on_cursor = self._take_cursor
            events.on_size = self._saw_size
            events.on_windows = self._saw_windows
            events.on_mapping = self.input.mapping_changed
            events.on_lost = self._lost.set
            self._events = events
            events.start()
            self.clipboard.attach(self.display)
            self.keyboard.attach(self.display)
        except xcffib.XcffibException as error:
            self._disconnect()
            raise DesktopError(f"X display {self.display.name} cannot be used: {error!r}") from error
        self._take_screen(size)

    def _disconnect(self, restore: bool = False) -> None:
        self.touch.reset()
        self.input.detach(restore=restore)
        self.clipboard.detach()
        if self._events is not None:
            self._events.stop()
            self._events = None
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    async def _stop_window_manager(self) -> None:
        if self._window_manager is not None:
            await self._window_manager.stop()
            self._window_manager = None

    def _needs_pages(self) -> bool:
        settings = self._settings
        return settings.input.enabled or settings.upload_drop or settings.file_chooser_dialog

    def _browser_talks(self, devtools: DevTools | None) -> None:
        """Take the connection to a new browser; None: the browser is gone."""
        self.touch.reset()
        self.touch.pages = None
        if self._attaching is not None:
            self._attaching.cancel()
            self._attaching = None
        if self._pages is not None:
            self._pages.close()
            self._pages = None
            self.file_chooser.leave()
        if devtools is not None:
            self._attaching = asyncio.create_task(self._attach(Pages(devtools)), name="attach to pages")

    async def _attach(self, pages: Pages) -> None:
        if self._settings.file_chooser_dialog:
            self.file_chooser.follow(pages)
        backoff = Backoff()
        while True:  # a busy machine's browser may take longer to answer than we wait
            try:
                await pages.attach()
                break
            except DevToolsError as error:
                if backoff.failures == 0:
                    log.warning("no touch, files and links for pages yet", error=str(error))
                await asyncio.sleep(backoff.after_run(0))
        self._pages = self.touch.pages = pages

    def _is_window(self, x: int, y: int) -> bool:
        return self._events is not None and self._events.is_window(x, y)

    async def _watch(self) -> None:
        """Bring the display back whenever it goes, and with it all that ran on it."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            await self._until_gone()
            assert self._browser is not None
            await self._browser.stop(BrowserState.WAITING)
            await self._stop_window_manager()
            self._disconnect()
            restored = False
            while not restored:
                delay = backoff.after_run(time.monotonic() - started)
                await asyncio.sleep(delay)
                started = time.monotonic()
                restored = await self._try_again()
            self._restarts.inc()
            log.info("the display is back", display=self.display.name)
            self.on_display_restarted.emit(self.display)

    async def _until_gone(self) -> None:
        """Return when the X server has ended; a mere loss of our connection is mended here."""
        while True:
            if self._server is None:
                await self._lost.wait()
                log.error("the display that we were attached to is gone", display=self.display.name)
                return
            ended = asyncio.ensure_future(self._server.wait())
            lost = asyncio.ensure_future(self._lost.wait())
            try:
                await asyncio.wait({ended, lost}, return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    await asyncio.wait({ended}, timeout=LOSS_PATIENCE)
            finally:
                ended.cancel()
                lost.cancel()
            if ended.done() and not ended.cancelled():
                log.error(
                    "the X server ended; starting it, the window manager and the browser again",
                    display=self.display.name,
                    **describe_exit(ended.result()),
                )
                return
            log.warning("lost the X connection; connecting again", display=self.display.name)
            try:
                self._connect(self.screen)
            except DesktopError as error:
                log.warning("cannot connect to the X server", error=str(error))
                self._lost.set()

    async def _try_again(self) -> bool:
        try:
            if self._server is not None:
                await self._server.stop()
            elif not is_running(self.display.name):
                return False
            await self._start_display()
            await self._start_browser()
        except DesktopError as error:
            log.error("the display cannot be started", error=str(error))
            await self._stop_window_manager()
            self._disconnect()
            return False
        return True

    async def _release_forgotten(self) -> None:
        while True:
            await asyncio.sleep(HOLD_CHECK_INTERVAL)
            self.input.release_forgotten()

    def _take_screen(self, size: ScreenSize) -> None:
        changed = size != self.screen
        self.screen = size
        self.input.resize((size.width, size.height))
        if self._browser is not None:
            self._browser.resized(size)
        if changed:
            log.info("screen changed", screen=str(size))
            self.on_screen_changed.emit(size)

    def _take_cursor(self, image: CursorImage) -> None:
        self.cursor_image = image
        self.on_cursor_image.emit(image)

    def _saw_size(self, width: int, height: int) -> None:
        """Follow a change that somebody else made; ours is announced once it is complete."""
        if not self._screen_lock.locked() and (width, height) != (self.screen.width, self.screen.height):
            self._take_screen(ScreenSize(width, height, self.screen.rate))

    def _saw_windows(self, count: int) -> None:
        if self._browser is not None:
            self._browser.windows_changed(count)


def _apply_screen(display: XDisplay, wanted: ScreenSize, largest: ScreenSize) -> ScreenSize:
    if wanted.width > largest.width or wanted.height > largest.height:
        raise ScreenRefused(
            f"the screen cannot be {wanted}: desktop.max_screen is {largest.width}x{largest.height}"
        )
    connection = display.connect()
    try:
        return randr.Screen(connection).set(wanted)
    except xcffib.XcffibException as error:
        raise DesktopError(f"X display {display.name} broke off: {error!r}") from error
    finally:
        connection.disconnect()
