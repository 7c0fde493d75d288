"""The clipboard against a program that is not ours, xclip, on a real X server."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import xcffib.xproto

from streamserver.config.types import ScreenSize
from streamserver.desktop import clipboard as clipboard_module
from streamserver.desktop import selection_owner, selection_reader
from streamserver.desktop.account import Account
from streamserver.desktop.clipboard import Clipboard, ClipboardError, ClipboardText, decode_html
from streamserver.desktop.x11 import XDisplay
from streamserver.desktop.x_client import XClient
from streamserver.desktop.xserver import XServer
from tests.desktop.conftest import require
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = clipboard_module.PNG_SIGNATURE + b"not a picture but nobody looks"
LARGE = "Grüße, 日本 – " * 60_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def display(account: Account, own_dir: Path) -> AsyncIterator[XDisplay]:
    require("Xvfb", "xclip")
    server = XServer(account, own_dir, ScreenSize(640, 480, 30))
    await server.start()
    yield server.display
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def clipboard(display: XDisplay) -> AsyncIterator[Clipboard]:
    clipboard = Clipboard()
    clipboard.attach(display)
    yield clipboard
    clipboard.detach()


class Xclip:
    """Programs that own the clipboard end with the test."""

    def __init__(self, display: XDisplay) -> None:
        self._environment = {**os.environ, **display.environment()}
        self._owners: list[subprocess.Popen[bytes]] = []

    async def get(self, target: str) -> bytes:
        child = await asyncio.create_subprocess_exec(
            "xclip", "-selection", "clipboard", "-out", "-target", target,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self._environment,
        )  # fmt: skip
        async with asyncio.timeout(10):
            return (await child.communicate())[0]

    def own(self, content: bytes, target: str) -> subprocess.Popen[bytes]:
        command = ["xclip", "-quiet", "-selection", "clipboard", "-in", "-target", target]
        owner = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=self._environment, stderr=subprocess.DEVNULL
        )
        self._owners.append(owner)
        assert owner.stdin is not None
        owner.stdin.write(content)
        owner.stdin.close()
        return owner

    def end(self) -> None:
        for owner in self._owners:
            owner.kill()
            owner.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def xclip(display: XDisplay) -> AsyncIterator[Xclip]:
    programs = Xclip(display)
    yield programs
    programs.end()


@pytest.mark.parametrize(
    "text", ["", "a", "Grüße\n\t– 日本 🐈", LARGE], ids=["empty", "short", "odd", "large"]
)
async def test_others_read_what_was_put_in(clipboard: Clipboard, xclip: Xclip, text: str) -> None:
    told: list[str] = []
    clipboard.on_changed.subscribe(told.append)
    await clipboard.write(ClipboardText(text))
    assert await clipboard.read() == ClipboardText(text)
    assert (await xclip.get("UTF8_STRING")).decode() == text
    assert b"UTF8_STRING" in await xclip.get("TARGETS")
    assert (await xclip.get("STRING")).decode("latin-1") == text.encode("latin-1", "replace").decode(
        "latin-1"
    )
    if text and len(text) < clipboard_module.MAX_TOLD:
        await until(lambda: told == [text], within=5, what="our own change is told")


async def test_html_and_pictures_go_out(clipboard: Clipboard, xclip: Xclip) -> None:
    await clipboard.write(ClipboardText("plain", "<b>bold</b>"))
    assert await xclip.get("text/html") == b"<b>bold</b>"
    assert await xclip.get("UTF8_STRING") == b"plain"
    await clipboard.write_image(PNG * 20_000)
    assert await xclip.get("image/png") == PNG * 20_000
    assert await xclip.get("UTF8_STRING") == b""
    assert await clipboard.read() == ClipboardText()
    with pytest.raises(ClipboardError, match="no PNG"):
        await clipboard.write_image(b"GIF89a")


async def test_what_others_copy_is_told_and_read(clipboard: Clipboard, xclip: Xclip) -> None:
    told: list[str] = []
    clipboard.on_changed.subscribe(told.append)
    await clipboard.write(ClipboardText("ours"))
    xclip.own("Grüße".encode(), "UTF8_STRING")
    await until(lambda: told[-1:] == ["Grüße"], within=5, what="the change is told")
    assert await clipboard.read() == ClipboardText("Grüße")
    assert await clipboard.read_image() is None
    xclip.own(b"<i>x</i>", "text/html")
    async with asyncio.timeout(5):
        while (await clipboard.read()).html != "<i>x</i>":
            await asyncio.sleep(0.02)
    xclip.own(PNG, "image/png")
    async with asyncio.timeout(5):
        while await clipboard.read_image() != PNG:
            await asyncio.sleep(0.02)


async def test_a_large_text_comes_in_pieces(clipboard: Clipboard, xclip: Xclip) -> None:
    content = LARGE.encode() * 2
    xclip.own(content, "UTF8_STRING")
    async with asyncio.timeout(10):
        while (await clipboard.read()).text.encode() != content:
            await asyncio.sleep(0.05)


async def test_what_is_too_large_is_refused_both_ways(
    clipboard: Clipboard, xclip: Xclip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard_module, "MAX_BYTES", 100_000)
    with pytest.raises(ClipboardError, match="too much"):
        await clipboard.write(ClipboardText("x" * 100_001))
    await clipboard.write(ClipboardText("x"))
    owner = clipboard._owner
    assert owner is not None
    xclip.own(b"y" * 500_000, "UTF8_STRING")
    await until(lambda: not owner.contents, within=5, what="xclip owns it")
    for _ in range(2):
        with pytest.raises(ClipboardError, match="too large"):
            await clipboard.read()
    xclip.own(b"y" * 100_000, "UTF8_STRING")
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(ClipboardError):
                if len((await clipboard.read()).text) == 100_000:
                    break
            await asyncio.sleep(0.02)


async def test_an_owner_that_does_not_answer_delays_nobody(
    display: XDisplay, clipboard: Clipboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection_reader, "ANSWER_TIMEOUT", 0.2)
    mute = XClient(display.connect())
    try:
        mute.core.SetSelectionOwner(mute.window, mute.atom("CLIPBOARD"), 0)
        mute.flush()
        await asyncio.to_thread(mute.core.GetInputFocus().reply)
        began = time.monotonic()
        with pytest.raises(ClipboardError, match="does not answer"):
            await clipboard.read()
        assert time.monotonic() - began < 2
        await clipboard.write(ClipboardText("still works"))
        assert (await clipboard.read()).text == "still works"
    finally:
        mute.close()


async def test_readers_that_stop_half_way_are_forgotten(
    display: XDisplay, clipboard: Clipboard, xclip: Xclip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection_owner, "TRANSFER_TIMEOUT", 0.3)
    await clipboard.write(ClipboardText(LARGE))
    assert clipboard._owner is not None
    transfers = clipboard._owner._transfers
    reader = XClient(display.connect())
    try:
        for number in range(selection_owner.MAX_TRANSFERS + 4):
            reader.core.ConvertSelection(
                reader.window,
                reader.atom("CLIPBOARD"),
                reader.atom("UTF8_STRING"),
                reader.atom(f"P{number}"),
                0,
            )
        reader.flush()
        await until(lambda: len(transfers) == selection_owner.MAX_TRANSFERS, within=5, what="all are served")
        await until(lambda: not transfers, within=5, what="they are forgotten")
        assert (await xclip.get("UTF8_STRING")).decode() == LARGE
    finally:
        reader.close()


async def test_a_request_that_names_no_property_and_one_for_several_targets(
    display: XDisplay, clipboard: Clipboard
) -> None:
    await clipboard.write(ClipboardText("several"))
    reader = XClient(display.connect())
    answers: list[xcffib.Event] = []
    reader.listen(lambda event: answers.append(event) if hasattr(event, "requestor") else None)
    try:
        pairs = [reader.atom(name) for name in ("UTF8_STRING", "A", "image/png", "B", "TIMESTAMP", "C")]
        raw = b"".join(number.to_bytes(4, "little") for number in pairs)
        reader.put_property(reader.window, reader.atom("LIST"), reader.atom("ATOM_PAIR"), 32, raw)
        for target, name in (("MULTIPLE", reader.atom("LIST")), ("UTF8_STRING", 0)):
            reader.core.ConvertSelection(
                reader.window, reader.atom("CLIPBOARD"), reader.atom(target), name, 0
            )
        reader.flush()
        await until(lambda: len(answers) == 2, within=5, what="both are answered")
        assert reader.property_bytes(reader.window, reader.atom("A"), 99, delete=False)[1] == b"several"
        assert len(reader.property_bytes(reader.window, reader.atom("C"), 99, delete=False)[1]) == 4
        left = reader.property_bytes(reader.window, reader.atom("LIST"), 99, delete=False)[1]
        assert left[12:16] == bytes(4)  # there is no picture
        named = reader.property_bytes(reader.window, reader.atom("UTF8_STRING"), 99, delete=False)
        assert named[1] == b"several"
    finally:
        reader.close()


async def test_between_two_displays_there_is_no_clipboard(display: XDisplay) -> None:
    clipboard = Clipboard()
    with pytest.raises(ClipboardError, match="no display"):
        await clipboard.read()
    with pytest.raises(ClipboardError, match="no display"):
        await clipboard.write(ClipboardText("x"))
    clipboard.attach(display)
    await clipboard.write(ClipboardText("x"))
    assert clipboard._client is not None
    clipboard._client.core.KillClient(clipboard._client.window)
    clipboard._client.flush()
    clipboard.detach()


@pytest.mark.parametrize(
    ("raw", "html"),
    [
        (b"<b>", "<b>"),
        ("<b>ü".encode("utf-16"), "<b>ü"),
        ("ü".encode(), "ü"),
        (b"<b>\0", "<b>"),
        (b"\xff", "\ufffd"),
    ],
)
async def test_html_comes_in_two_encodings(raw: bytes, html: str) -> None:
    assert decode_html(raw) == html
