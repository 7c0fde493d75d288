"""Checks of the account, the display, the window manager, the browser, sound and fonts."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamserver.config import BrowserSettings, DesktopSettings
from streamserver.config.sharing_settings import WebcamSettings
from streamserver.desktop.account import Account, lookup
from streamserver.desktop.camera import Camera
from streamserver.desktop.errors import DesktopError
from streamserver.doctor.finding import Finding, limited, missing, ok
from streamserver.doctor.trial import find_program, run

_SERVER_DEADLINE = 10.0
"""Seconds an X server may take to come up."""
_BROWSER_DEADLINE = 30.0
"""Seconds the browser may take to load an empty page; the first start after boot is slow."""
_VERSION_DEADLINE = 10.0
_USER_NAMESPACES = (
    Path("/proc/sys/kernel/unprivileged_userns_clone"),
    Path("/proc/sys/user/max_user_namespaces"),
)


def check_account(settings: BrowserSettings) -> tuple[Finding, Account]:
    """Look for the account of the desktop; where there is none the other checks go on as ourselves."""
    try:
        account = lookup(settings.user)
    except DesktopError as error:
        return missing("account", str(error)), lookup(None)
    if account.uid == 0 and settings.sandbox:
        return (
            missing(
                "account",
                "the desktop would run as root, under which Chromium refuses its sandbox",
                "useradd --create-home catnap, and leave browser.user at catnap",
            ),
            account,
        )
    return ok("account", f"{account.name} (uid {account.uid}, home {account.home})"), account


def check_display(settings: DesktopSettings, account: Account) -> Finding:
    """Start an X server for a moment, or connect to the one that is to be used."""
    if settings.display:
        return _check_running_display(settings.display)
    program = find_program("Xvfb")
    if program is None:
        return missing("display", "no Xvfb in PATH", "apt-get install xvfb, or set desktop.display")
    size = f"{settings.max_screen.width}x{settings.max_screen.height}x24"
    with tempfile.TemporaryFile() as report:
        outcome = _start_xvfb(program, size, account, report.fileno())
        report.seek(0)
        number = report.read().decode("ascii", "replace").strip()
    if number.isdigit():
        return ok("display", f"{program} starts with {size}")
    return missing("display", f"{program} does not start: {outcome}", "apt-get install --reinstall xvfb")


def _start_xvfb(program: str, size: str, account: Account, report: int) -> str:
    """Run Xvfb until it has written its display number to the descriptor; return what it said."""
    ours = account.is_ourselves
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [program, "-displayfd", str(report), "-screen", "0", size, "-nolisten", "tcp", "-noreset"],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            pass_fds=(report,),
            user=None if ours else account.uid,
            group=None if ours else account.gid,
            extra_groups=None if ours else account.groups,
        )
        deadline = time.monotonic() + _SERVER_DEADLINE
        while process.poll() is None and not os.fstat(report).st_size and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        process.wait()
        words.seek(0)
        lines = [
            line.strip() for line in words.read().decode("utf-8", "replace").splitlines() if line.strip()
        ]
    return next((line for line in lines if "rror" in line), lines[-1] if lines else "it said nothing")


def _check_running_display(name: str) -> Finding:
    import xcffib

    try:
        connection = xcffib.connect(display=name)
        version = connection.get_setup().protocol_major_version
        connection.disconnect()
    except Exception as error:  # noqa: BLE001 (xcffib raises several kinds, some without a common parent)
        return missing(
            "display",
            f"desktop.display is {name}, and no X server answers there ({type(error).__name__})",
            "start it, give access to it with XAUTHORITY, or leave desktop.display empty",
        )
    return ok("display", f"{name} answers (X{version})")


def check_window_manager(settings: DesktopSettings) -> Finding:
    """Look for the window manager."""
    program = find_program("openbox")
    if program is not None:
        return ok("window manager", program)
    remedy = "apt-get install openbox"
    if settings.display:
        return limited("window manager", "no openbox in PATH; that of the display is used", remedy)
    return missing("window manager", "no openbox in PATH", remedy)


def check_browser(settings: BrowserSettings, account: Account) -> Finding:
    """Let the browser load an empty page, with its sandbox if it is to have one."""
    program = find_program(settings.command)
    if program is None:
        return missing(
            "browser", f"no {settings.command} in PATH", "apt-get install chromium, or set browser.command"
        )
    version = run([program, "--version"], account, deadline=_VERSION_DEADLINE).last_line or "unknown version"
    with _directory(account) as profile:
        command = [program, "--headless=new", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        if not settings.sandbox:
            command.append("--no-sandbox")
        outcome = run(
            [*command, "--dump-dom", "data:text/html,<p>catnap"],
            account,
            deadline=_BROWSER_DEADLINE,
            environment={"HOME": str(profile), "XDG_RUNTIME_DIR": str(profile)},
        )
    if "catnap" in outcome.output and outcome.status == 0:
        how = "with its sandbox" if settings.sandbox else "without a sandbox, as browser.sandbox says"
        return ok("browser", f"{version} starts as {account.name} {how}")
    return missing(
        "browser", f"{version} does not start: {_why(outcome.output)}", _browser_remedy(outcome.output)
    )


def _why(output: str) -> str:
    """Return the line that most likely says why the browser failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = next((line for line in lines if "sandbox" in line.lower() or "FATAL" in line), None)
    return (telling or (lines[-1] if lines else "it said nothing"))[:200]


def _browser_remedy(output: str) -> str:
    if "sandbox" not in output.lower():
        return "run it by hand as that account to see more"
    for switch in _USER_NAMESPACES:
        if switch.is_file() and switch.read_text().strip() == "0":
            return (
                f"allow user namespaces (write a number above 0 to {switch}), or set browser.sandbox to false"
            )
    return (
        "allow user namespaces (in a container: a seccomp profile that has them, or --cap-add SYS_ADMIN), "
        "or set browser.sandbox to false"
    )


def check_sound(account: Account) -> Finding:
    """Look for the sound server and its recorder."""
    absent = [name for name in ("pulseaudio", "parec", "pactl") if find_program(name) is None]
    if absent:
        return limited(
            "sound",
            f"no {', '.join(absent)} in PATH; viewers hear nothing",
            "apt-get install pulseaudio pulseaudio-utils",
        )
    version = run(["pulseaudio", "--version"], account, deadline=_VERSION_DEADLINE)
    if version.status != 0:
        return limited(
            "sound",
            f"pulseaudio does not start: {version.last_line}",
            "apt-get install --reinstall pulseaudio",
        )
    return ok("sound", version.last_line)


def check_camera(settings: WebcamSettings) -> Finding:
    """Look for the device by which pages see a viewer's camera, if there is to be one."""
    if not settings.enabled:
        return ok("camera", "off, as capture.webcam.enabled says")
    if reason := Camera(settings.device, settings.width, settings.height).why_not():
        return limited(
            "camera",
            f"{reason.partition(':')[0]}; no viewer can be seen by pages",
            "modprobe v4l2loopback exclusive_caps=1 (Debian: v4l2loopback-dkms); or turn it off",
        )
    return ok("camera", f"{settings.device} takes pictures of {settings.width}x{settings.height}")


def check_fonts(account: Account) -> Finding:
    """Look for fonts, without which pages show boxes for letters."""
    if find_program("fc-list") is None:
        return limited("fonts", "no fc-list in PATH", "apt-get install fontconfig fonts-dejavu-core")
    families = run(["fc-list", ":", "family"], account, deadline=_VERSION_DEADLINE).output.splitlines()
    if not families:
        return limited(
            "fonts", "none; pages will show boxes", "apt-get install fonts-dejavu-core fonts-noto-core"
        )
    return ok("fonts", f"{len(set(families))} families")


@contextmanager
def _directory(account: Account) -> Iterator[Path]:
    """Give the account an empty directory for a moment."""
    path = Path(tempfile.mkdtemp(prefix="catnap-doctor-"))
    try:
        if not account.is_ourselves:
            os.chown(path, account.uid, account.gid)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
