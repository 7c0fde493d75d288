"""What reaches pages of a real Chromium: copied text, fingers, dropped files, chosen files, layouts."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.config.types import ScreenSize
from streamserver.desktop import uploads as uploads_module
from streamserver.desktop.account import Account
from streamserver.desktop.browser import BrowserState
from streamserver.desktop.clipboard import ClipboardText
from streamserver.desktop.desktop import Desktop
from streamserver.desktop.drop import DropError
from streamserver.desktop.file_chooser import ChooserError
from streamserver.desktop.keyboard import KeyboardError, KeyboardMap
from tests.desktop import devtools
from tests.desktop.conftest import require
from tests.desktop.devtools import DevTools
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTROL_L, HOME = 0xFFE3, 0xFF50

HTML = """<!doctype html><title>pages</title>
<style>body { margin: 0; height: 4000px; background: #0a0 } #text { position: fixed; top: 0; left: 0 }
#one { position: fixed; top: 40px; left: 0 } #pick { position: fixed; top: 100px; left: 0 }
#zone { position: fixed; top: 200px; left: 0; width: 300px; height: 200px; background: #00a;
  touch-action: none }</style>
<input id=text><input type=file id=one><input type=file id=many multiple hidden>
<select id=pick><option>a<option>b<option>c</select><div id=zone></div>
<script>
window.told = [];
window.keys = [];
const zone = document.getElementById("zone");
for (const kind of ["touchstart", "touchmove", "touchend", "touchcancel"])
  addEventListener(kind, event => told.push([kind, event.touches.length,
    ...[...event.changedTouches].map(t => [Math.round(t.clientX), Math.round(t.clientY)])]));
zone.addEventListener("dragover", event => event.preventDefault());
zone.addEventListener("drop", async event => {
  event.preventDefault();
  window.dropped = [];
  for (const file of event.dataTransfer.files) dropped.push([file.name, await file.text()]);
});
for (const id of ["one", "many"]) {
  const input = document.getElementById(id);
  input.addEventListener("change", async () => {
    const files = [];
    for (const file of input.files) files.push([file.name, await file.text()]);
    window.chosen = files;
  });
  input.addEventListener("cancel", () => { window.cancelled = true; });
}
addEventListener("keydown", event => keys.push([event.key, event.code]));
</script>"""


@dataclass
class Shown:
    """A desktop with the page above, and a look into it."""

    desktop: Desktop
    page: DevTools
    top: int

    async def value(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def clear(self) -> None:
        await self.page.evaluate(
            "told.length = keys.length = 0; scrollTo(0, 0); text.value = ''; text.blur()"
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(account: Account, run_dir: Path, own_dir: Path) -> AsyncIterator[Shown]:
    require("Xvfb", "openbox", "chromium", "setxkbmap")
    screen = ScreenSize(800, 600, 30)
    settings = DesktopSettings(screen=screen, max_screen=screen, file_chooser_dialog=True)
    profile = own_dir / "profile"
    browser = BrowserSettings(
        user=account.name, profile_dir=profile, url=devtools.page_url(HTML), flags=devtools.FLAGS
    )
    desktop = Desktop(settings, browser, run_dir, CollectorRegistry())
    await desktop.start()
    try:
        await until(lambda: desktop.browser_state is BrowserState.RUNNING, within=30, what="a window")
        page = await DevTools.open(profile)
        await until(lambda: desktop.touch.reaches_pages, within=10, what="DevTools are attached")
        await page.until("document.title === 'pages' && outerHeight === 600")
        top = await page.evaluate("outerHeight - innerHeight")
        yield Shown(desktop, page, round(top))
        await page.close()
    finally:
        await desktop.stop()


async def test_fingers_are_touches_on_pages(shown: Shown) -> None:
    await shown.clear()
    touch, top = shown.desktop.touch, shown.top
    touch.begin(7, 50, top + 250)
    touch.begin(8, 90, top + 290)
    touch.update(7, 60, top + 260)
    touch.end(8)
    await shown.page.until("told.some(([kind, left]) => kind === 'touchend' && left === 1)")
    touch.end(7)
    await shown.page.until("told.some(([kind, left]) => kind === 'touchend' && left === 0)")
    told = await shown.value("told")
    assert told[0] == ["touchstart", 1, [50, 250]]
    assert told[1] == ["touchstart", 2, [90, 290]]
    assert ["touchmove", 2, [60, 260]] in told
    assert [event[:2] for event in told if event[0] == "touchend"] == [["touchend", 1], ["touchend", 0]]


async def test_a_drag_of_a_finger_scrolls(shown: Shown) -> None:
    await shown.clear()
    touch, top = shown.desktop.touch, shown.top
    touch.begin(1, 600, top + 400)
    for step in range(1, 21):
        touch.update(1, 600, top + 400 - step * 10)
        await asyncio.sleep(0.01)
    touch.end(1)
    assert await shown.page.until("scrollY > 80")
    await shown.page.until("told.some(([kind]) => kind === 'touchend' || kind === 'touchcancel')")


async def test_a_finger_on_the_browser_itself_is_the_mouse(shown: Shown) -> None:
    await shown.clear()
    touch = shown.desktop.touch
    touch.begin(1, 300, shown.top - 20)  # the address bar
    touch.end(1)
    await until(lambda: shown.desktop.cursor_position() == (300, shown.top - 20), within=5, what="it moved")
    assert await shown.value("told.length") == 0
    shown.desktop.input.move(600, shown.top + 300)
    shown.desktop.input.button_down(1)
    shown.desktop.input.button_up(1)
    await shown.page.until("document.hasFocus()")
    is_window = shown.desktop._is_window
    await until(lambda: is_window(50, shown.top + 250), within=5, what="suggestions are gone")


async def test_fingers_that_are_forgotten_are_lifted(shown: Shown) -> None:
    await shown.clear()
    touch = shown.desktop.touch
    touch.begin(1, 50, shown.top + 250)
    await shown.page.until("told.length > 0")
    touch.reset()
    await shown.page.until("told.some(([kind]) => kind === 'touchcancel' || kind === 'touchend')")
    for finger in range(20):
        touch.begin(finger, 50 + finger, shown.top + 250)
    await shown.page.until("told.filter(([kind]) => kind === 'touchstart').length === 11")
    touch.reset()


async def test_copying_in_a_page_is_told_and_a_viewers_text_is_pasted(shown: Shown) -> None:
    await shown.clear()
    told: list[str] = []
    unsubscribe = shown.desktop.clipboard.on_changed.subscribe(told.append)
    shown.desktop.input.move(40, shown.top + 10)
    shown.desktop.input.button_down(1)
    shown.desktop.input.button_up(1)
    await shown.page.until("document.hasFocus() && document.activeElement.id === 'text'")
    await shown.desktop.clipboard.write(ClipboardText("Grüße 日本"))
    async with asyncio.timeout(30):  # Chromium waits a second for the text, which a busy machine may take
        while await shown.value("text.value") != "Grüße 日本":
            await shown.value("text.select()")
            shown.desktop.input.keypress(CONTROL_L, ord("v"))
            await asyncio.sleep(1.2)
    await shown.value("text.value = 'copied in the page'")
    shown.desktop.input.keypress(CONTROL_L, ord("a"))
    shown.desktop.input.keypress(CONTROL_L, ord("c"))
    await until(lambda: told[-1:] == ["copied in the page"], within=10, what="the copy is told")
    assert (await shown.desktop.clipboard.read()).text == "copied in the page"
    unsubscribe()


async def test_a_rich_copy_comes_as_html_and_a_picture_as_png(shown: Shown) -> None:
    write = """(async () => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 2;
      const png = await new Promise(done => canvas.toBlob(done, "image/png"));
      const parts = {PARTS};
      await navigator.clipboard.write([new ClipboardItem(parts)]);
      return true;
    })()"""
    html = '{"text/html": new Blob(["<b>bold</b>"], {type: "text/html"}), "text/plain": new Blob(["bold"])}'
    html = html.replace('new Blob(["bold"])', 'new Blob(["bold"], {type: "text/plain"})')
    await shown.page.evaluate(
        "document.execCommand('copy') || true"  # a data: page has no clipboard API; see below
    )
    if await shown.value("navigator.clipboard === undefined"):
        await shown.value(
            "document.addEventListener('copy', event => { event.preventDefault();"
            " event.clipboardData.setData('text/html', '<b>bold</b>');"
            " event.clipboardData.setData('text/plain', 'bold'); }, {once: true});"
            " document.execCommand('copy')"
        )
    else:
        await shown.value(write.replace("{PARTS}", html))
    async with asyncio.timeout(10):
        while "<b>bold</b>" not in (await shown.desktop.clipboard.read()).html:
            await asyncio.sleep(0.05)
    assert (await shown.desktop.clipboard.read()).text == "bold"


async def test_files_are_dropped_where_they_belong(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [("../../a.txt", io.BytesIO(b"first")), ("a.txt", io.BytesIO(b"second"))]
    await shown.desktop.drop(files, 100, shown.top + 300)
    await shown.page.until("window.dropped && dropped.length === 2")
    assert await shown.value("dropped") == [["a.txt", "first"], ["a (2).txt", "second"]]
    with pytest.raises(DropError, match="no page at"):
        await shown.desktop.drop([("b", io.BytesIO(b""))], 300, 5)
    kept = [path for _, path in shown.desktop.uploads._kept]
    assert all(path.exists() for path in kept)
    monkeypatch.setattr(uploads_module, "KEEP", -1.0)
    shown.desktop.uploads.clear_old()
    assert not any(path.exists() for path in kept)


async def test_a_page_that_asks_for_files_gets_those_of_viewers(shown: Shown) -> None:
    await shown.clear()
    chooser = shown.desktop.file_chooser
    changes: list[bool] = []
    unsubscribe = chooser.on_changed.subscribe(changes.append)
    with pytest.raises(ChooserError, match="not open"):
        await shown.desktop.answer_dialog([("a", io.BytesIO(b"x"))])
    await shown.value("document.getElementById('one').click()")
    await until(lambda: chooser.is_open, within=10, what="the dialog is open")
    files = [("a.txt", io.BytesIO(b"one")), ("b.txt", io.BytesIO(b"two"))]
    await shown.desktop.answer_dialog(files)
    assert await shown.page.until("window.chosen") == [["a.txt", "one"]]
    assert changes == [True, False]
    await shown.value("chosen = null; document.getElementById('many').click()")
    await until(lambda: chooser.is_open, within=10, what="the dialog is open again")
    await shown.desktop.answer_dialog([("a.txt", io.BytesIO(b"one")), ("b.txt", io.BytesIO(b"two"))])
    assert await shown.page.until("window.chosen") == [["a.txt", "one"], ["b.txt", "two"]]
    await shown.value("document.getElementById('one').click()")
    await until(lambda: chooser.is_open, within=10, what="the dialog is open a third time")
    await chooser.cancel()
    assert await shown.page.until("window.cancelled")
    unsubscribe()


async def test_another_layout_and_locked_modifiers(shown: Shown) -> None:
    await shown.clear()
    keyboard, keys = shown.desktop.keyboard, shown.desktop.input
    assert (await keyboard.map()).layout == "us"
    await keyboard.set_map(KeyboardMap("de", "nodeadkeys"))
    assert await keyboard.map() == KeyboardMap("de", "nodeadkeys")
    await shown.value("document.body.focus()")
    keys.keypress(ord("z"))
    await shown.page.until("keys.length === 1")
    assert await shown.value("keys[0]") == ["z", "KeyY"]
    for layout, variant in (
        ("no-such-layout", ""),
        ("", ""),
        ("de; true", ""),
        ("-query", ""),
        ("de", "none"),
    ):
        with pytest.raises(KeyboardError):
            await keyboard.set_map(KeyboardMap(layout, variant))
    await keyboard.set_map(KeyboardMap("us"))
    await shown.clear()
    keyboard.set_modifiers({"shift": True, "capslock": True, "unknown": True, "alt": None})
    assert {name for name, on in keyboard.modifiers.items() if on} == {"shift", "capslock"}
    keys.keypress(ord("a"))
    await shown.page.until("keys.length === 1")
    keyboard.unlock()
    keys.keypress(ord("a"))
    await shown.page.until("keys.length === 2")
    assert await shown.value("keys.map(([key]) => key)") == ["A", "a"]
    assert not any(keyboard.modifiers.values())


async def test_a_page_that_hangs_delays_a_touch_and_nothing_else(shown: Shown) -> None:
    await shown.page.evaluate(
        "setTimeout(() => { const end = Date.now() + 2500; while (Date.now() < end); }, 50) && 1"
    )
    await asyncio.sleep(0.2)
    began = time.monotonic()
    shown.desktop.touch.begin(1, 50, shown.top + 250)
    with pytest.raises(DropError):
        await shown.desktop.drop([("a", io.BytesIO(b""))], 50, shown.top + 250)
    assert time.monotonic() - began < 2
    shown.desktop.touch.end(1)
    assert await shown.page.until("1 + 1") == 2


async def test_a_page_we_listen_to_opens_windows_as_ever(shown: Shown) -> None:
    # a browser that attaches to new pages by itself has the page that opens one wait for ever
    opening = "void (popup = window.open('about:blank', 'popup', 'width=300,height=200'))"
    await shown.value(opening)
    async with asyncio.timeout(10):
        assert await shown.value("popup.document.write('<p>x</p>'), popup.document.body.innerText") == "x"
        await shown.value("popup.close()")
        await shown.page.until("popup.closed && document.hasFocus()")
