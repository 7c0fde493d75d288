"""The image, run as a container: what its log, its ports and its control file show from outside."""

import asyncio
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.async_api import Page as Tab

from tests.e2e.page import Page
from tests.e2e.viewer import person
from tests.network import Namespace
from tests.waiting import until, wait_until

from .builder import BuiltImage
from .conftest import SIZE
from .container import DOCKERS_PROFILE, Container

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BLUE = (32, 96, 160)
SETTINGS = {
    "NEKO_BROWSER_URL": "data:text/html,<body style='background:rgb(32,96,160)'>",
    "NEKO_MEMBER_MULTIUSER_USER_PASSWORD": "test-user",
    "NEKO_MEMBER_MULTIUSER_ADMIN_PASSWORD": "test-admin",
    "NEKO_DESKTOP_MAX_SCREEN": "1920x1080",
}
PINNED = {**SETTINGS, "NEKO_SESSION_API_TOKEN": "test-token", "NEKO_SCALETOZERO_COOLDOWN": "0s"}
KILLED = 128 + signal.SIGKILL
COLOUR_IN_THE_MIDDLE = """() => {
    const video = document.querySelector('video');
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d');
    context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 8, 8, 0, 0, 1, 1);
    return Array.from(context.getImageData(0, 0, 1, 1).data.slice(0, 3));
}"""


@pytest.fixture
def network() -> Iterator[Namespace]:
    """The network of a container: a host of its own, whose neighbour this machine is."""
    with Namespace() as namespace:
        yield namespace


def url(network: Namespace) -> str:
    return f"http://{network.address}:8080/"


async def shows_blue(tab: Tab) -> None:
    deadline = time.monotonic() + 30
    colour: list[int] = []
    while not (colour and all(abs(a - b) < 16 for a, b in zip(colour, BLUE, strict=True))):
        assert time.monotonic() < deadline, f"the middle of the picture is {colour}, not {BLUE}"
        await asyncio.sleep(0.1)
        colour = await tab.evaluate(COLOUR_IN_THE_MIDDLE)


def messages(container: Container) -> list[str]:
    """Return the container's log lines without their time."""
    return [line.split(" INF ", 1)[-1] for line in container.log.splitlines()]


def sandboxed(container: Container) -> list[psutil.Process]:
    """Return the processes that have been put into a user namespace of their own."""
    ours = user_namespace(container.init)
    return [
        process
        for process in container.processes()
        if process.is_running() and user_namespace(process) != ours
    ]


def user_namespace(process: psutil.Process) -> str:
    return str(Path(f"/proc/{process.pid}/ns/user").readlink())


def nothing_is_left(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in processes)


def no_zombie(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() == psutil.STATUS_ZOMBIE for process in processes)


async def test_a_container_is_used_holds_the_machine_awake_and_stops(
    image: BuiltImage, network: Namespace, record_property: Callable[[str, object], None]
) -> None:
    record_property(SIZE, image.size)
    with Container(image, network.name, SETTINGS) as container:
        container.start()
        container.wait_until_healthy()
        assert container.gate == ""
        assert {process.uids().real for process in container.processes()} == {1000}
        assert container.init.name() == "tini"

        async with person() as tab:
            page = await Page.open(tab, url(network))
            await page.sign_in("ann", "test-user")
            await page.sees_picture(within=30)
            await shows_blue(tab)
            assert container.gate == "+"
            assert sandboxed(container), "no process of the browser is in a user namespace of its own"
            await tab.close()
            await until(lambda: container.gate == "-", within=20, what="the gate is released")
        log = "\n".join(messages(container))
        for line in (
            "scale-to-zero plugin enabled",
            "connection started, disabling scale-to-zero (pending: 1)",
            "connection ended, re-enabling scale-to-zero (pending: 0)",
            "plugin started plugin=scaletozero",
        ):
            assert re.search(rf"^{re.escape(line)}( |$)", log, re.MULTILINE), f"{line!r} is not in\n{log}"

        async with person() as tab:
            page = await Page.open(tab, url(network))
            await page.sign_in("ann", "test-user")
            await page.sees_picture(within=30)
            assert container.gate == "+"
            processes = container.processes()
            wait_until(lambda: no_zombie(processes), within=20, what="process 1 has reaped what has ended")
            container.signal(signal.SIGTERM)
            assert container.wait() == 0
        assert container.gate == "-"
        assert nothing_is_left(processes)
        log = "\n".join(messages(container))
        assert "\nshutdown started, re-enabling scale-to-zero (pending: 1) " in log
        assert log.endswith("stopped module=app")


async def test_a_controller_outside_pins_the_container_awake(image: BuiltImage, network: Namespace) -> None:
    """With nothing that Docker lets one take away: no capability, no new privileges."""
    with Container(image, network.name, PINNED, hardened=True) as container:
        container.start()
        container.wait_until_healthy()
        wait_until(lambda: sandboxed(container), within=20, what="the browser is in its sandbox")
        async with httpx.AsyncClient(base_url=url(network), timeout=20) as anybody:
            assert (await anybody.post("scaletozero/disable")).status_code == 401
            assert container.gate != "+"
            anybody.headers["Authorization"] = "Bearer test-token"
            assert (await anybody.post("scaletozero/disable")).status_code == 204
            assert container.gate == "+"
            assert (await anybody.post("scaletozero/disable")).status_code == 204
            assert (await anybody.post("scaletozero/enable")).status_code == 204
            await until(lambda: container.gate == "-", within=20, what="the gate is released")


async def test_a_killed_container_leaves_nothing_and_gives_the_gate_back_at_its_next_start(
    image: BuiltImage, network: Namespace
) -> None:
    async def use_and_kill(victim: str) -> None:
        async with person() as tab:
            page = await Page.open(tab, url(network))
            await page.sign_in("ann", "test-user")
            await until(lambda: container.gate == "+", within=20, what="the gate is held")
            processes = container.processes()
            next(process for process in processes if process.name() == victim).kill()
            assert container.wait() == KILLED
            wait_until(lambda: nothing_is_left(processes), within=20, what="everything has ended")
        container.remove()
        assert container.gate == "+"

    with Container(image, network.name, SETTINGS) as container:
        for victim in ("tini", "catnap"):
            container.start()
            container.wait_until_healthy()
            # what the one before held, if it was killed, is given back
            await until(lambda: container.gate != "+", within=20, what="the gate is free at the start")
            await use_and_kill(victim)


async def test_without_user_namespaces_the_start_fails_with_a_sentence(
    image: BuiltImage, network: Namespace
) -> None:
    with Container(image, network.name, SETTINGS, seccomp=DOCKERS_PROFILE) as container:
        container.start()
        assert container.wait(60) == 1
        assert "cannot start reason=" in container.log
        assert "NEKO_BROWSER_SANDBOX=false" in container.log
        assert "--security-opt seccomp=" in container.log


async def test_without_user_namespaces_the_sandbox_can_be_given_up(
    image: BuiltImage, network: Namespace
) -> None:
    settings = {**SETTINGS, "NEKO_BROWSER_SANDBOX": "false"}
    with Container(image, network.name, settings, seccomp=DOCKERS_PROFILE) as container:
        container.start()
        container.wait_until_healthy()
        async with person() as tab:
            page = await Page.open(tab, url(network))
            await page.sign_in("ann", "test-user")
            await page.sees_picture(within=30)
            await shows_blue(tab)
        assert "the browser runs without its sandbox" in container.log


async def test_as_root_only_the_server_is_root(image: BuiltImage, network: Namespace) -> None:
    """Where a platform lets only root write the control file."""
    with Container(image, network.name, PINNED, user=0) as container:
        container.control_file.chmod(0o644)
        container.start()
        container.wait_until_healthy()
        users = {process.name(): process.uids().real for process in container.processes()}
        assert users["tini"] == users["catnap"] == 0
        assert users["Xvfb"] == users["pulseaudio"] == users["openbox"] == users["chromium"] == 1000
        async with httpx.AsyncClient(base_url=url(network), timeout=20) as controller:
            controller.headers["Authorization"] = "Bearer test-token"
            assert (await controller.post("scaletozero/disable")).status_code == 204
        assert container.gate == "+"
        container.signal(signal.SIGTERM)
        assert container.wait() == 0
        assert container.gate == "-"


async def test_a_control_file_that_only_root_may_write_is_told(image: BuiltImage, network: Namespace) -> None:
    with Container(image, network.name, PINNED) as container:
        container.control_file.chmod(0o644)
        container.start()
        container.wait_until_healthy()
        async with httpx.AsyncClient(base_url=url(network), timeout=20) as controller:
            controller.headers["Authorization"] = "Bearer test-token"
            assert (await controller.post("scaletozero/disable")).status_code == 500
        assert "/uk/libukp/scale_to_zero_disable" in container.log
        assert "Permission denied" in container.log


async def test_the_image_says_how_it_wants_to_be_run(image: BuiltImage) -> None:
    configuration = image.configuration()
    assert configuration["User"] == "catnap"
    assert sorted(configuration["ExposedPorts"]) == ["59000/tcp", "59000/udp", "8080/tcp"]
    assert configuration["StopSignal"] == "SIGTERM"
    assert list(configuration["Volumes"]) == ["/var/lib/catnap/profile"]
    assert configuration["Entrypoint"][0].endswith("tini")
    assert configuration["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert not [name for name in configuration["Env"] if re.search("(?i)password|token|secret", name)]


async def test_nothing_that_was_lent_to_the_build_is_in_the_image(image: BuiltImage) -> None:
    name, root = image.new_root()
    try:
        assert not (root / "etc/pip.conf").exists()
        assert not (root / "opt/catnap/source").exists()
        assert not list((root / "opt/catnap/venv").glob("lib/*/site-packages/pip"))
        assert not list((root / "opt/catnap/venv").glob("lib/*/site-packages/pytest"))
        assert not list((root / "var/lib/apt/lists").glob("*_Packages*"))
        writable = [
            str(path.relative_to(root))
            for path in (root / "opt").rglob("*")
            if not path.is_symlink() and (path.stat().st_uid != 0 or path.stat().st_mode & 0o022)
        ]
        assert not writable, "the server could change itself"
    finally:
        image.remove_root(name)
