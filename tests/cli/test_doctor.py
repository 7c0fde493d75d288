"""The doctor on this machine as it is, and with things taken away."""

import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from streamserver.config import BrowserSettings, DesktopSettings, ServerSettings, Settings, WebRTCSettings
from streamserver.config.sharing_settings import WebcamSettings
from streamserver.desktop.account import lookup
from streamserver.doctor.desktop_checks import (
    check_account,
    check_browser,
    check_camera,
    check_display,
    check_fonts,
    check_sound,
    check_window_manager,
)
from streamserver.doctor.finding import Finding, State, limited, missing, ok, render
from streamserver.doctor.server_checks import (
    check_codecs,
    check_control_file,
    check_run_directory,
    check_tcp_port,
    check_udp_port,
)
from streamserver.doctor.trial import run
from tests.cli.conftest import Catnap
from tests.waiting import wait_until

US = lookup(None)
ACCOUNT = lookup(BrowserSettings().user)
FREE = ("--server.bind=127.0.0.1:0", "--webrtc.udpmux=0")


def program(folder: Path, name: str, script: str) -> None:
    """Put a shell script into the folder as a program."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PATH is one empty folder, which is returned."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for above in (folder, *folder.parents):
        if above != Path("/tmp") and above.is_relative_to("/tmp"):
            above.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_machine_with_everything_is_ready(catnap: Catnap, tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.touch()
    done = catnap(
        "doctor", "--json", *FREE, "--scaletozero.enabled", f"--scaletozero.control_file={control}",
        f"--server.run_dir={tmp_path}",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert [part for part in report["parts"] if part["state"] != "ok"] == []
    assert report["ready"] is True
    assert done.returncode == 0


def test_a_bare_machine_is_told_what_to_get(catnap: Catnap) -> None:
    done = catnap("doctor", *FREE, env={"PATH": "/nonexistent"})
    assert done.returncode == 1
    for package in ("xvfb", "openbox", "chromium", "pulseaudio"):
        assert f"apt-get install {package}" in done.stdout
    assert "parts missing" in done.stdout


def test_a_wrong_configuration_is_status_2(catnap: Catnap) -> None:
    assert catnap("doctor", "--server.bnid=x").returncode == 2


@pytest.mark.usefixtures("bare")
def test_programs_that_are_absent() -> None:
    assert check_display(DesktopSettings(), ACCOUNT).state is State.MISSING
    assert check_window_manager(DesktopSettings()).state is State.MISSING
    assert check_window_manager(DesktopSettings(display=":1")).state is State.LIMITED
    assert check_browser(BrowserSettings(), ACCOUNT).state is State.MISSING
    assert check_sound(ACCOUNT).state is State.LIMITED
    assert check_fonts(ACCOUNT).state is State.LIMITED


def test_the_camera_for_pages(tmp_path: Path) -> None:
    assert check_camera(WebcamSettings()).found == "off, as capture.webcam.enabled says"
    finding = check_camera(WebcamSettings(enabled=True, device=tmp_path / "video0"))
    assert (finding.state, "modprobe v4l2loopback" in finding.remedy) == (State.LIMITED, True)
    assert finding.found == f"there is no {tmp_path}/video0; no viewer can be seen by pages"


def test_an_x_server_that_does_not_start(bare: Path) -> None:
    program(bare, "Xvfb", "echo 'Fatal server error: no room' >&2; exit 1")
    finding = check_display(DesktopSettings(), ACCOUNT)
    assert finding.state is State.MISSING
    assert "no room" in finding.found


def test_a_display_that_nobody_serves() -> None:
    finding = check_display(DesktopSettings(display=":7654"), US)
    assert finding.state is State.MISSING
    assert "desktop.display is :7654" in finding.found


def test_a_browser_that_may_not_have_its_sandbox(bare: Path) -> None:
    program(bare, "chromium", "echo 'FATAL: No usable sandbox! Update your kernel' >&2; exit 1")
    finding = check_browser(BrowserSettings(), ACCOUNT)
    assert finding.state is State.MISSING
    assert "No usable sandbox!" in finding.found
    assert "user namespaces" in finding.remedy


def test_sound_that_does_not_start(bare: Path) -> None:
    for name in ("parec", "pactl"):
        program(bare, name, "exit 0")
    program(bare, "pulseaudio", "echo broken; exit 3")
    finding = check_sound(ACCOUNT)
    assert (finding.state, finding.found) == (State.LIMITED, "pulseaudio does not start: broken")


def test_a_machine_without_fonts(bare: Path) -> None:
    program(bare, "fc-list", "exit 0")
    assert "boxes" in check_fonts(ACCOUNT).found


def test_accounts() -> None:
    finding, account = check_account(BrowserSettings(user="no-such-user"))
    assert finding.state is State.MISSING
    assert account == US
    root, _ = check_account(BrowserSettings(user="root", sandbox=True))
    assert root.state is State.MISSING
    assert check_account(BrowserSettings())[0].state is State.OK


def test_codecs() -> None:
    assert check_codecs() == ok("codecs", "libx264, libopus, libyuv")


@pytest.mark.parametrize(
    ("kind", "key"), [(socket.SOCK_STREAM, "server.bind"), (socket.SOCK_DGRAM, "webrtc.udpmux")]
)
def test_a_port_in_use(kind: socket.SocketKind, key: str) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(
            server=ServerSettings(bind=f"127.0.0.1:{port}"), webrtc=WebRTCSettings(udpmux=port)
        )
        check = check_tcp_port if kind == socket.SOCK_STREAM else check_udp_port
        finding = check(settings)
    assert finding.state is State.MISSING
    assert "in use" in finding.found
    assert key in finding.remedy


def test_an_address_this_machine_has_not() -> None:
    finding = check_tcp_port(Settings(server=ServerSettings(bind="203.0.113.9:80")))
    assert finding.state is State.MISSING


def test_the_run_directory(tmp_path: Path) -> None:
    def finding(path: Path) -> Finding:
        return check_run_directory(Settings(server=ServerSettings(run_dir=path)))

    assert finding(tmp_path) == ok("run directory", str(tmp_path))
    assert finding(tmp_path / "a" / "b").state is State.OK
    (tmp_path / "file").touch()
    assert finding(tmp_path / "file" / "b").state is State.MISSING


class Gate(BaseModel):
    """As much of the plugin's settings as the doctor looks at."""

    enabled: bool = True
    control_file: Path


def test_the_control_file(tmp_path: Path) -> None:
    def finding(plugins: Mapping[str, BaseModel]) -> Finding:
        return check_control_file(Settings(plugin_settings=dict(plugins)))

    path = tmp_path / "control"
    assert finding({}).state is State.OK
    assert finding({"scaletozero": Gate(control_file=path)}).state is State.LIMITED
    path.touch()
    assert finding({"scaletozero": Gate(control_file=path)}) == ok("scale-to-zero", f"{path} can be written")


def test_a_program_that_hangs_is_ended_with_its_children(bare: Path) -> None:
    program(bare, "hang", "/bin/sleep 300 & echo $!; wait")
    outcome = run([str(bare / "hang")], US, deadline=0.5)
    assert outcome.status is None
    child = Path(f"/proc/{int(outcome.last_line)}/stat")

    def gone() -> bool:
        return not child.exists() or child.read_text().split()[2] == "Z"

    wait_until(gone, within=5.0, what="the child is gone")


def test_a_program_runs_as_the_account(bare: Path) -> None:
    program(bare, "who", "exec /usr/bin/id -u")
    assert run([str(bare / "who")], ACCOUNT, deadline=5).last_line == str(ACCOUNT.uid)
    assert run(["/nonexistent"], ACCOUNT, deadline=5).status == 127
    assert os.geteuid() == US.uid


def test_the_report_for_a_person() -> None:
    text = render([ok("a", "fine"), limited("long part", "less", "do this"), missing("b", "gone", "do that")])
    assert text.splitlines() == [
        "ok       a          fine",
        "limited  long part  less",
        "                    -> do this",
        "missing  b          gone",
        "                    -> do that",
        "",
        "1 of 3 parts missing",
    ]
    assert render([ok("a", "fine")]).endswith("ready: catnap serve can run here")
