"""The whole desktop with a real X server, window manager, sound server and Chromium."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import xcffib
import xcffib.xproto
from prometheus_client import CollectorRegistry

from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.config.types import ScreenSize
from streamserver.desktop import desktop as desktop_module
from streamserver.desktop.account import Account
from streamserver.desktop.backoff import Backoff
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.cursor import CursorImage
from streamserver.desktop.desktop import Desktop
from streamserver.desktop.errors import DesktopError, ScreenRefused
from streamserver.desktop.process import session_members
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.xserver import XServer, is_running
from tests.desktop import devtools
from tests.desktop.conftest import require
from tests.desktop.devtools import DevTools
from tests.desktop.test_processes import alive
from tests.waiting import until, wait_until

ROOT = Path(__file__).parents[2]
SMALL = DesktopSettings(screen=ScreenSize(800, 600, 30), max_screen=ScreenSize(1600, 1200, 30))
PAGE = devtools.page_url("<!doctype html><title>here</title><body style='background:#0a0'>")


@pytest.fixture(autouse=True)
def _programs() -> None:
    require("Xvfb", "openbox", "chromium")


@pytest.fixture
def profile(own_dir: Path, request: pytest.FixtureRequest) -> Path:
    return own_dir / str(request.node.name)[:60]


def browser_settings(account: Account, profile: Path, url: str = PAGE) -> BrowserSettings:
    return BrowserSettings(user=account.name, profile_dir=profile, url=url, flags=devtools.FLAGS)


@asynccontextmanager
async def running(
    run_dir: Path, browser: BrowserSettings, settings: DesktopSettings = SMALL
) -> AsyncIterator[Desktop]:
    desktop = Desktop(settings, browser, run_dir, CollectorRegistry())
    await desktop.start()
    try:
        yield desktop
    finally:
        await desktop.stop()


async def shown(desktop: Desktop) -> None:
    """Wait for the browser's window."""
    await until(lambda: desktop.browser_state is BrowserState.RUNNING, within=20, what="a window is shown")


def root_pixels(display: XDisplay) -> tuple[int, int, bytes]:
    """Return width, height and BGRX bytes of what the display shows."""
    connection = display.connect()
    try:
        core = xcffib.xproto.xprotoExtension(connection)
        root = connection.get_setup().roots[0].root
        size = core.GetGeometry(root).reply()
        image = core.GetImage(
            xcffib.xproto.ImageFormat.ZPixmap, root, 0, 0, size.width, size.height, 0xFFFFFFFF
        ).reply()
        return size.width, size.height, bytes(image.data.buf())
    finally:
        connection.disconnect()


async def test_start_to_stop(account: Account, run_dir: Path, profile: Path) -> None:
    states: list[BrowserState] = []
    images: list[CursorImage] = []
    desktop = Desktop(SMALL, browser_settings(account, profile), run_dir, CollectorRegistry())
    desktop.on_browser_state.subscribe(states.append)
    desktop.on_cursor_image.subscribe(images.append)
    others = psutil.Process().children(recursive=True)
    await desktop.start()
    try:
        await shown(desktop)
        children = [child for child in psutil.Process().children(recursive=True) if child not in others]
        assert states == [BrowserState.STARTING, BrowserState.RUNNING]
        assert desktop.screen == SMALL.screen
        assert images
        assert desktop.cursor_image is images[-1]
        assert desktop.browser_pid is not None
        programs = {child.name(): child.pid for child in psutil.Process().children()}
        for name in ("Xvfb", "openbox", "chromium"):
            assert psutil.Process(programs[name]).uids().real == account.uid
        cookie_file = desktop.display.xauthority
        assert cookie_file is not None
        assert (cookie_file.stat().st_mode & 0o777, cookie_file.stat().st_uid) == (0o600, account.uid)
        assert desktop.display.owner == account
        with pytest.raises(DesktopError):
            XDisplay(desktop.display.name, empty_authority(run_dir), None).connect()
        number = desktop.display.number
        with socket.socket() as tcp:
            assert tcp.connect_ex(("127.0.0.1", 6000 + number)) != 0
        with pytest.raises(DesktopError, match="in use by another catnap"):
            await Desktop(SMALL, browser_settings(account, profile), run_dir, CollectorRegistry()).start()
        status = Path(f"/proc/{renderer(programs['chromium'])}/status")
        await until(lambda: "Seccomp:\t2" in status.read_text(), within=10, what="a page is in the sandbox")
    finally:
        await desktop.stop()
    assert states[-1] is BrowserState.STOPPED
    wait_until(
        lambda: not [child for child in children if child.is_running() and alive(child.pid)],
        within=20, what="all of them are gone",
    )  # fmt: skip
    assert not is_running(desktop.display.name)
    assert not desktop.display.socket.exists()
    assert [path.name for path in run_dir.iterdir() if path.name != "empty"] == ["desktop.lock"]
    assert (profile / "Default").is_dir()


def empty_authority(directory: Path) -> Path:
    path = directory / "empty"
    path.write_bytes(struct.pack(">HHHHH", 65535, 0, 0, 0, 0))
    return path


def renderer(browser: int) -> int:
    """Return a process of the browser that shows pages."""

    def find() -> int | None:
        for child in psutil.Process(browser).children(recursive=True):
            try:
                if "--type=renderer" in child.cmdline():
                    return child.pid
            except psutil.Error:
                continue
        return None

    return wait_until(find, within=10, what="a renderer runs") or 0


async def test_the_browser_fills_the_screen_at_every_size(
    account: Account, run_dir: Path, profile: Path
) -> None:
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        sizes: list[ScreenSize] = []
        desktop.on_screen_changed.subscribe(sizes.append)
        page = await DevTools.open(profile)
        for wanted in (ScreenSize(1287, 720, 60), ScreenSize(1600, 1200, 25), ScreenSize(800, 600, 30)):
            size = await desktop.set_screen(wanted)
            assert size == ScreenSize(wanted.width - wanted.width % 8, wanted.height, wanted.rate)
            assert desktop.screen == sizes[-1] == size
            assert await page.until(f"outerWidth === {size.width} && outerHeight === {size.height}")
            await until(
                lambda: green_share(desktop.display) > 0.7, within=10, what="the page fills the screen"
            )
        assert len(sizes) == 3
        await desktop.set_screen(ScreenSize(800, 600, 30))
        assert len(sizes) == 3
        for refused in (
            ScreenSize(1608, 1200, 30), ScreenSize(1600, 1201, 30), ScreenSize(7, 600, 30),
            ScreenSize(800, 600, -5), ScreenSize(800, 600, 1 << 32),
        ):  # fmt: skip
            with pytest.raises(ScreenRefused):
                await desktop.set_screen(refused)
        assert desktop.screen == ScreenSize(800, 600, 30)
        desktop.input.move(1500, 1100)
        assert desktop.cursor_position() == (799, 599)
        await page.close()


def green_share(display: XDisplay) -> float:
    """Return the share of the screen that has the page's colour."""
    width, height, pixels = root_pixels(display)
    return pixels.count(bytes((0, 0xAA, 0))) / (width * height)


async def test_a_killed_browser_comes_back_without_questions(
    account: Account, run_dir: Path, profile: Path
) -> None:
    states: list[BrowserState] = []
    preferences = profile / "Default" / "Preferences"
    with account.file_access():
        preferences.parent.mkdir(parents=True, mode=0o700)
        preferences.write_text(json.dumps({"profile": {"exit_type": "Crashed", "exited_cleanly": False}}))
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        desktop.on_browser_state.subscribe(states.append)
        await shown(desktop)
        first = desktop.browser_pid
        assert first is not None
        states.clear()
        # the worst end: in the middle of everything, with the singleton lock of a host that is no more
        os.kill(first, signal.SIGKILL)
        (profile / "SingletonLock").unlink(missing_ok=True)
        (profile / "SingletonLock").symlink_to("another-host-1234")
        await until(
            lambda: desktop.browser_pid not in (None, first) and len(states) >= 4,
            within=20, what="the browser is back",
        )  # fmt: skip
        assert states == [
            BrowserState.CRASHED, BrowserState.WAITING, BrowserState.STARTING, BrowserState.RUNNING,
        ]  # fmt: skip
        page = await DevTools.open(profile)
        assert [shown["url"] for shown in await devtools.pages(profile)] == [PAGE]
        # a bubble would cover a part of the page, which is of one colour
        await until(lambda: green_share(desktop.display) > 0.8, within=10, what="nothing covers the page")
        assert desktop._browser_restarts._value.get() == 1
        await page.close()
    assert json.loads(preferences.read_text())["profile"]["exit_type"] == "Normal"


async def test_everything_comes_back_after_the_x_server_ended(
    account: Account, run_dir: Path, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop_module, "Backoff", lambda: Backoff(first=0.05))
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        await shown(desktop)
        await desktop.set_screen(ScreenSize(1024, 768, 30))
        restarted: list[XDisplay] = []
        desktop.on_display_restarted.subscribe(restarted.append)
        display = desktop.display
        server = next(child for child in psutil.Process().children() if child.name() == "Xvfb")
        server.kill()
        desktop.input.move(1, 1)  # between the two there is nobody to take it, and nobody minds
        await until(lambda: restarted, within=20, what="the display is back")
        await shown(desktop)
        assert restarted == [display]
        page = await DevTools.open(profile)
        assert await page.until("outerWidth === 1024 && outerHeight === 768")
        assert {child.name() for child in psutil.Process().children() if alive(child.pid)} >= {
            "Xvfb", "openbox", "chromium",
        }  # fmt: skip
        desktop.input.move(300, 200)
        connection = display.connect()
        core = xcffib.xproto.xprotoExtension(connection)
        pointer = core.QueryPointer(connection.get_setup().roots[0].root).reply()
        assert (pointer.root_x, pointer.root_y) == (300, 200)
        connection.disconnect()
        await page.close()


async def test_a_minimised_window_comes_back(account: Account, run_dir: Path, profile: Path) -> None:
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        page = await DevTools.open(profile)
        await until(lambda: green_share(desktop.display) > 0.7, within=10, what="the page is shown")
        # the button in the corner that minimises
        scale = await page.evaluate("devicePixelRatio")
        width = desktop.screen.width
        desktop.input.move(round(width - 83 * scale), 20)
        desktop.input.button_down(1)
        desktop.input.button_up(1)
        await page.until("document.visibilityState === 'visible'")
        await until(lambda: green_share(desktop.display) > 0.7, within=10, what="the page is shown again")
        await page.close()


async def test_attach_to_a_display_that_runs(account: Account, run_dir: Path, own_dir: Path, profile: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    server = XServer(account, own_dir, ScreenSize(1600, 1200, 30))
    await server.start()
    try:
        monkeypatch.setenv("XAUTHORITY", str(server.display.xauthority))
        settings = SMALL.model_copy(update={"display": server.display.name})
        async with running(run_dir, browser_settings(account, profile), settings) as desktop:
            assert desktop.display.name == server.display.name
            assert desktop.display.owner is not None
            assert desktop.display.owner.uid == account.uid
            await until(lambda: green_share(desktop.display) > 0.7, within=20, what="the page is shown")
            desktop.input.keypress(0x1000448)
        assert is_running(server.display.name)
    finally:
        await server.stop()


async def test_the_sound_sink_exists_and_the_server_starts_again(
    account: Account, run_dir: Path, profile: Path
) -> None:
    require("pulseaudio", "pactl")
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        sound = desktop.sound
        assert sound is not None

        async def pactl(*arguments: str) -> str:
            child = await asyncio.create_subprocess_exec(
                "pactl", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env={**os.environ, **sound.environment()},
            )  # fmt: skip
            return (await child.communicate())[0].decode()

        assert "Default Sink: audio_output" in await pactl("info")
        assert "48000" in await pactl("list", "short", "sinks")
        assert sound.source in await pactl("list", "short", "sources")
        daemon = next(child for child in psutil.Process().children() if child.name() == "pulseaudio")
        assert daemon.uids().real == account.uid
        daemon.kill()
        await until(
            lambda: [c for c in psutil.Process().children() if c.name() == "pulseaudio" and c != daemon],
            within=10, what="pulseaudio is back",
        )  # fmt: skip
        for _ in range(50):
            if sound.source in await pactl("list", "short", "sources"):
                break
        else:
            pytest.fail("the sound server does not answer")


def test_nothing_survives_a_server_that_is_killed(account: Account, run_dir: Path, profile: Path) -> None:
    script = f"""
import asyncio
from pathlib import Path
from prometheus_client import CollectorRegistry
from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.desktop import Desktop
async def main():
    browser = BrowserSettings(user={account.name!r}, profile_dir=Path({str(profile)!r}))
    desktop = Desktop(DesktopSettings(), browser, Path({str(run_dir)!r}), CollectorRegistry())
    shown = asyncio.Event()
    desktop.on_browser_state.subscribe(lambda state: state is BrowserState.RUNNING and shown.set())
    await desktop.start()
    await shown.wait()
    print("running", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        assert any(line.strip() == "running" for line in server.stdout)
        family = psutil.Process(server.pid)
        wait_until(lambda: len(family.children(recursive=True)) > 8, within=10, what="the browser has begun")
        children = family.children(recursive=True)
        sessions = {os.getsid(child.pid) for child in children if child.is_running()}
    finally:
        server.kill()
        server.wait()
    wait_until(
        lambda: not [pid for session in sessions for pid in session_members(session) if alive(pid)],
        within=10, what="nothing of the desktop runs any more",
    )  # fmt: skip
    assert not [child for child in children if alive(child.pid)]


async def test_a_server_after_a_killed_one_starts(account: Account, run_dir: Path, profile: Path) -> None:
    (run_dir / "desktop").mkdir(exist_ok=True)
    (run_dir / "desktop" / "Xauthority").write_bytes(b"old")
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        await shown(desktop)


@pytest.mark.parametrize(
    ("browser", "message"),
    [
        ({"command": "/no/such/chromium"}, None),
        ({"user": "nobody-of-that-name"}, "no such user"),
    ],
)
async def test_a_wrong_setting_is_named(
    account: Account, run_dir: Path, profile: Path, browser: dict[str, str], message: str | None
) -> None:
    settings = browser_settings(account, profile).model_copy(update=browser)
    desktop = Desktop(SMALL, settings, run_dir, CollectorRegistry())
    if message is None:
        await desktop.start()  # another Chromium is taken, with a warning
        await desktop.stop()
        return
    with pytest.raises(DesktopError, match=message):
        await desktop.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the desktop as somebody else")
async def test_a_run_directory_out_of_reach_is_named(account: Account, tmp_path: Path, profile: Path) -> None:
    tmp_path.chmod(0o700)
    desktop = Desktop(SMALL, browser_settings(account, profile), tmp_path / "run", CollectorRegistry())
    with pytest.raises(DesktopError, match=r"may not enter .*chmod o\+x"):
        await desktop.start()


async def test_a_lost_connection_is_made_anew_while_the_x_server_runs(
    account: Account, run_dir: Path, profile: Path
) -> None:
    async with running(run_dir, browser_settings(account, profile)) as desktop:
        await shown(desktop)
        browser = desktop.browser_pid
        before = desktop._connection
        assert before is not None
        with socket.fromfd(before.get_file_descriptor(), socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.shutdown(socket.SHUT_RDWR)
        desktop.input.move(10, 10)
        await until(
            lambda: desktop._connection not in (None, before), within=10, what="it is connected again"
        )
        desktop.input.move(321, 123)
        connection = desktop.display.connect()
        core = xcffib.xproto.xprotoExtension(connection)
        pointer = core.QueryPointer(connection.get_setup().roots[0].root).reply()
        connection.disconnect()
        assert (pointer.root_x, pointer.root_y) == (321, 123)
        assert desktop.browser_pid == browser
