"""People in one room talk, share files and the clipboard, and an administrator keeps order."""

import asyncio
import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, expect

from tests.waiting import until

from .page import Page
from .playground import Playground
from .running_server import RunningServer, running_server
from .version2_script import ANSWERED, JOIN, SPEAKS
from .viewer import person

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """The directory of the file transfer."""
    with tempfile.TemporaryDirectory(prefix="catnap-shared-") as name:
        directory = Path(name) / "files"
        directory.mkdir()
        yield directory


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    """A page for the shared browser."""
    with Playground() as playground:
        yield playground


WIDTH, HEIGHT = 320, 240
"""The size of the camera that pages see."""


@pytest.fixture(scope="module")
def camera(shared: Path) -> Iterator[socket.socket]:
    """The device of the camera: each datagram is a picture."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as device:
        device.bind(str(shared.parent / "camera"))
        device.setblocking(False)
        yield device


@pytest.fixture(scope="module")
def server(playground: Playground, shared: Path, camera: socket.socket) -> Iterator[RunningServer]:
    """One server, which shares files, opens links and has a camera for pages."""
    files = {"enabled": True, "dir": str(shared), "user_download": True, "user_upload": True}
    webcam = {"enabled": True, "device": camera.getsockname(), "width": WIDTH, "height": HEIGHT}
    with running_server(
        (sys.executable, str(Path(__file__).with_name("pretend_camera.py"))),
        browser={"url": playground.url},
        filetransfer=files,
        openinapp={"enabled": True},
        capture={"webcam": webcam},
    ) as server:
        yield server


async def show(page: Page, tab: str) -> None:
    if not await page.tab.locator("#panel").is_visible():
        await page.press("people here")
    await page.tab.get_by_role("tab", name=tab).click()


async def test_two_people_talk_share_and_are_kept_in_order(server: RunningServer, shared: Path) -> None:
    async with person() as ann_tab, person(width=390, height=844) as bob_tab:
        ann, bob = await Page.open(ann_tab, server.url), await Page.open(bob_tab, server.url)
        await ann.sign_in("ann", "test-admin")
        await bob.sign_in("bob", "test-user")
        await ann.sees_picture()
        await bob.sees_picture()

        await show(ann, "Chat")
        await ann_tab.get_by_label("Message to everybody here").fill("hello bob")
        await ann_tab.keyboard.press("Enter")
        await expect(bob_tab.locator("#bar-unread")).to_have_text("1")
        await show(bob, "Chat")
        await expect(bob_tab.locator(".chat-body")).to_have_text("hello bob")

        await show(ann, "Files")
        content = bytes(range(256)) * 4000
        async with ann_tab.expect_file_chooser() as chooser:
            await ann.press("Upload files")
        await (await chooser.value).set_files(
            FilePayload(name="über 1.bin", mimeType="application/octet-stream", buffer=content)
        )
        await show(bob, "Files")
        async with bob_tab.expect_download() as download:
            await bob_tab.get_by_role("link", name="über 1.bin").click()
        assert (await download.value).suggested_filename == "über 1.bin"
        assert (shared / "über 1.bin").read_bytes() == content
        await expect(bob_tab.get_by_role("button", name="Delete über 1.bin")).to_be_hidden()
        await ann.press("Delete über 1.bin")
        await ann.press("Delete it")
        await expect(bob_tab.locator("#files-list li")).to_have_count(0)
        await until(lambda: not list(shared.iterdir()), within=5, what="the file is gone")

        await show(ann, "Settings")
        await ann_tab.get_by_label("Only administrators write in the chat").check()
        await show(bob, "Chat")
        await bob.reads("An administrator has closed the chat for you.")
        await ann_tab.get_by_label("Only administrators write in the chat").uncheck()
        await expect(bob_tab.get_by_label("Message to everybody here")).to_be_visible()
        await show(ann, "People")
        await ann_tab.get_by_label("More about bob").click()
        await ann.press("Keep bob from writing in the chat")
        await bob.reads("An administrator has closed the chat for you.")

        await show(ann, "Connection")
        await expect(ann_tab.locator("#figures dt")).to_have_count(7)
        await expect(ann_tab.locator("#connection-verdict")).to_contain_text("The connection is")
        await show(ann, "People")
        await ann.press("Disconnect bob")
        await bob.reads("You were disconnected")
        assert (ann.errors, bob.errors) == ([], [])


COPIED = """async (text) => {
  while (await navigator.clipboard.readText() !== text) await new Promise((done) => setTimeout(done, 50));
}"""
DROP = """([x, y]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["whiskers"], "über cat.txt", {type: "text/plain"}));
  const about = {dataTransfer, clientX: x, clientY: y, bubbles: true, cancelable: true};
  for (const kind of ["dragenter", "dragover", "drop"])
    document.elementFromPoint(x, y).dispatchEvent(new DragEvent(kind, about));
}"""


async def test_what_is_copied_or_dropped_on_one_side_arrives_on_the_other(
    server: RunningServer, playground: Playground
) -> None:
    async with person() as tab:
        await tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
        ann = await Page.open(tab, server.url)
        await ann.sign_in("ann", "test-admin")
        await ann.sees_picture()
        await ann.take_control()
        await until(lambda: playground.of("places"), within=20, what="the shared browser shows its page")
        await ann.click_at(*playground.place("field"))
        await tab.keyboard.type("meow")
        await tab.keyboard.press("Control+a")
        await tab.keyboard.press("Control+c")
        async with asyncio.timeout(30):
            await tab.evaluate(COPIED, "meow")
        await tab.evaluate("navigator.clipboard.writeText('purr, 漢字')")
        await tab.keyboard.press("Control+a")
        await tab.keyboard.press("Backspace")
        # keys and pasted text travel on two connections, and yet arrive in order
        await tab.keyboard.press("Control+v")
        await tab.keyboard.press("End")
        await tab.keyboard.type("!")
        await until(lambda: "purr, 漢字!" in playground.of("typed"), within=10, what="all is there, in order")

        await tab.evaluate(DROP, list(await ann.point(*playground.place("button"))))
        await until(lambda: playground.of("dropped"), within=10, what="the page has the file")
        assert playground.of("dropped") == [["button", "über cat.txt", "whiskers"]]
        assert ann.errors == []


async def test_a_link_opens_in_the_shared_browser_for_whoever_is_in_control(
    server: RunningServer, playground: Playground
) -> None:
    async with person() as tab:
        ann = await Page.open(tab, server.url)
        await ann.sign_in("ann", "test-admin")
        await ann.sees_picture()
        await show(ann, "Settings")
        address = tab.get_by_label("Link to open in the shared browser")
        await expect(address).to_be_hidden()
        await ann.take_control()
        await until(lambda: playground.of("loaded"), within=20, what="the shared browser shows its page")
        loaded = len(playground.of("loaded"))
        await address.fill(playground.url)
        await ann.press("Open it there")
        await until(lambda: len(playground.of("loaded")) == loaded + 1, within=10, what="it is opened")
        await expect(address).to_have_value("")
        await address.fill("ftp://example.org")
        await ann.press("Open it there")
        await ann.reads("The link was not opened: URL must use http or https scheme.")


def latest(camera: socket.socket) -> bytes:
    """Return the last picture that came; empty when none did."""
    picture = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            picture = camera.recv(WIDTH * HEIGHT * 2)
    return picture


async def test_microphone_and_camera_reach_pages_until_they_are_taken_back(
    server: RunningServer, camera: socket.socket
) -> None:
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    async with person(arguments=fake) as tab:
        ann = await Page.open(tab, server.url)
        await ann.sign_in("ann", "test-admin")
        await ann.sees_picture()
        await show(ann, "Settings")
        await tab.get_by_label("Share your camera").check()
        picture = await until(lambda: latest(camera), within=20, what="a picture comes")
        assert len(picture) == WIDTH * HEIGHT * 3 // 2
        bar, middle = picture[:WIDTH], picture[WIDTH * HEIGHT // 2 :][:WIDTH]
        assert set(bar) == {16}, "it is wider than the camera: black above"
        assert max(middle) > 60, "it is not black"
        await until(lambda: (next_one := latest(camera)) and next_one != picture, within=10, what="it moves")
        await tab.get_by_label("Share your microphone").check()
        await until(lambda: server.lines("a viewer speaks"), within=10, what="she is heard")
        await until(lambda: latest(camera), within=10, what="she is seen on")
        await ann.sees_picture()
        await tab.get_by_label("Share your camera").uncheck()
        await until(lambda: server.lines("a viewer is seen no more"), within=10, what="the device is let go")
        await expect(tab.get_by_label("Share your microphone")).to_be_checked()
        latest(camera)
        await tab.get_by_label("Share your camera").check()
        await until(lambda: latest(camera), within=20, what="she is seen again")
        assert ann.errors == []


async def test_a_page_of_version_2_sees_types_talks_and_is_heard(
    server: RunningServer, playground: Playground
) -> None:
    async with person() as tab:
        await tab.goto(f"{server.url}health")  # any page may speak version 2; this one does nothing else
        await until(lambda: playground.of("places"), within=20, what="the shared browser shows its page")
        x, y = playground.place("field")
        await tab.evaluate(JOIN, [server.url, "test-admin", "old & new"])
        await tab.wait_for_function("() => page.video.videoWidth === 1280 && !page.video.paused", polling=100)
        await tab.wait_for_function("() => page.channel.readyState === 'open'", polling=100)
        await tab.evaluate("page.say('control/request')")
        await tab.wait_for_function("() => page.host && page.host === page.id", polling=100)
        click = "([x, y]) => { page.move(x, y); page.press(1); }"
        clicked = len(playground.of("clicked"))
        await tab.evaluate(click, [round(place) for place in playground.place("button")])
        # a window has the keys only after the pointer has come to it
        await until(lambda: len(playground.of("clicked")) > clicked, within=10, what="the button is pressed")
        await tab.evaluate(click, [round(x), round(y)])
        await tab.evaluate("[0x6f, 0x6c, 0x64].forEach(page.press)")
        await until(
            lambda: any(str(text).endswith("old") for text in playground.of("typed")),
            within=10,
            what="it is typed",
        )
        await tab.evaluate("page.say('chat/message', {content: 'hi'})")
        said = "() => page.heard.some(([event, {content}]) => event === 'chat/message' && content === 'hi')"
        await tab.wait_for_function(said, polling=100)
        await tab.evaluate("page.speak()")
        await tab.wait_for_function(ANSWERED, arg=1, polling=100)
        await tab.wait_for_function(SPEAKS, polling=200)
        await tab.evaluate("page.peer.removeTrack(page.sender)")
        await tab.wait_for_function(ANSWERED, arg=2, polling=100)
        assert await tab.evaluate("[page.peer.connectionState, page.warnings]") == ["connected", []]
