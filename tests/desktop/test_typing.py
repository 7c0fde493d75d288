"""What people type, click and scroll arrives in a page of a real Chromium."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.config.types import ScreenSize
from streamserver.desktop import keysyms
from streamserver.desktop.account import Account
from streamserver.desktop.desktop import Desktop
from tests.desktop import devtools
from tests.desktop.conftest import require
from tests.desktop.devtools import DevTools

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<!doctype html><title>typing</title><style>body{margin:0;height:5000px}
textarea{position:fixed;left:0;top:0;width:90%;height:200px}</style><textarea autofocus></textarea><script>
const field = document.querySelector('textarea'), log = [];
for (const kind of ['keydown', 'keyup', 'mousedown', 'mouseup', 'wheel', 'mousemove'])
  addEventListener(kind, e => log.push({kind, key: e.key, code: e.code, x: e.clientX, y: e.clientY,
    button: e.button, dx: e.deltaX, dy: e.deltaY, ctrl: e.ctrlKey, shift: e.shiftKey, alt: e.altKey}));
addEventListener('contextmenu', e => e.preventDefault());
</script>"""

SHIFT_L, CONTROL_L, ALT_GR, TAB, RETURN, LEFT = 0xFFE1, 0xFFE3, 0xFE03, 0xFF09, 0xFF0D, 0xFF51

TEXTS = {
    "ascii": "".join(map(chr, range(0x20, 0x7F))),
    "german": "Grüße aus Köln: Äpfel, Öl, Übel, straße, §°²³ 5 € µ",
    "french": "Où est l'œuvre ? Là-bas, ça coûte Çà ÉÈÊ « guillemets »",
    "cyrillic": "Съешь ещё этих мягких французских булок, да выпей чаю. ЩЁЛК",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "cjk": "漢字かなカナ 한글 你好世界",
    "emoji": "😀🚀𝄞👍",
    "arabic and hebrew": "مرحبا שלום",
}


@dataclass
class Typing:
    desktop: Desktop
    page: DevTools

    async def clear(self) -> None:
        """Start anew: the field empty and with the focus, nothing held, the pointer in the field."""
        self.desktop.input.reset()
        await self.page.evaluate("log.length = 0")
        self.desktop.input.move(50, 150)
        self.desktop.input.button_down(1)
        self.desktop.input.button_up(1)
        await self.page.until("document.hasFocus() && log.some(e => e.kind === 'mouseup')")
        await self.page.evaluate("field.value = ''; field.focus(); log.length = 0; scrollTo(0, 0)")

    async def typed(self, expected: str) -> str:
        """Return what is in the field: as soon as it is what is expected, else after a deadline."""
        with contextlib.suppress(AssertionError):
            await self.page.until(f"field.value === {json.dumps(expected)}")
        return str(await self.page.evaluate("field.value"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def typing(account: Account, run_dir: Path, own_dir: Path) -> AsyncIterator[Typing]:
    require("Xvfb", "openbox", "chromium")
    profile = own_dir / "profile"
    browser = BrowserSettings(
        user=account.name, profile_dir=profile, url=devtools.page_url(PAGE), flags=devtools.FLAGS
    )
    settings = DesktopSettings(screen=ScreenSize(1024, 768, 30), max_screen=ScreenSize(1600, 1200, 30))
    desktop = Desktop(settings, browser, run_dir, CollectorRegistry())
    await desktop.start()
    try:
        page = await DevTools.open(profile)
        await page.until("document.readyState === 'complete' && document.hasFocus()")
        yield Typing(desktop, page)
        await page.close()
    finally:
        await desktop.stop()


@pytest.mark.parametrize("name", TEXTS)
async def test_every_character_arrives_without_modifiers(typing: Typing, name: str) -> None:
    await typing.clear()
    for character in TEXTS[name]:
        keysym = keysyms.of_character(character)
        typing.desktop.input.key_down(keysym)
        typing.desktop.input.key_up(keysym)
    assert await typing.typed(TEXTS[name]) == TEXTS[name]


async def type_with_shift(typing: Typing, text: str, shifted: set[str]) -> None:
    """Type as a viewer's keyboard does: Shift is held for exactly these characters."""
    keys = typing.desktop.input
    for character in text:
        keysym = keysyms.of_character(character)
        if character in shifted:
            keys.key_down(SHIFT_L)
        keys.key_down(keysym)
        keys.key_up(keysym)
        if character in shifted:
            keys.key_up(SHIFT_L)


@pytest.mark.parametrize(
    ("text", "shifted"),
    [
        ("Hello, World! (1+1=2)", set('HW!(+)"')),
        (
            "Grüß Gott! 7/8 = 1? Öl+Äpfel #1",
            set('GÖÄ!/=?"'),
        ),  # German: "/" and "=" with Shift, "+" and "#" without
        ("Привет, Мир", set("ПМ,")),
        ("caps lock: ABC def", set("def")),
    ],
)
async def test_what_shift_means_on_the_viewers_keyboard_does_not_matter(
    typing: Typing, text: str, shifted: set[str]
) -> None:
    await typing.clear()
    await type_with_shift(typing, text, shifted)
    assert await typing.typed(text) == text
    downs = await typing.page.evaluate("log.filter(e => e.kind === 'keydown' && e.key !== 'Shift')")
    assert [event["shift"] for event in downs] == [character in shifted for character in text]
    assert await typing.page.evaluate("log.filter(e => e.kind === 'keyup').length") == len(text) + sum(
        character in shifted for character in text
    )


async def test_plain_keys_are_the_keys_they_are(typing: Typing) -> None:
    await typing.clear()
    for keysym in (ord("a"), ord("1"), RETURN, ord("b"), LEFT, ord("c")):
        typing.desktop.input.keypress(keysym)
    assert await typing.typed("a1\ncb") == "a1\ncb"
    codes = await typing.page.evaluate("log.filter(e => e.kind === 'keydown').map(e => e.code)")
    assert codes == ["KeyA", "Digit1", "Enter", "KeyB", "ArrowLeft", "KeyC"]


async def test_chords_and_shift_tab(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    for character in "gone":
        keys.keypress(ord(character))
    keys.keypress(CONTROL_L, ord("a"))
    keys.keypress(CONTROL_L, ord("X"))  # a viewer with Caps Lock on
    keys.keypress(keysyms.of_character("é"))
    assert await typing.typed("é") == "é"
    await typing.page.evaluate("log.length = 0")
    keys.keypress(SHIFT_L, TAB)
    events = await typing.page.until("log.filter(e => e.key === 'Tab')")
    assert events[0]["shift"]
    assert events[0]["code"] == "Tab"


async def test_a_key_held_down_is_pressed_once_and_released_by_its_own_key(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    keys.key_down(ord("a"))
    keys.key_down(ord("a"))
    keys.key_up(ord("a"))
    keys.key_up(ord("a"))
    keys.key_up(ord("b"))
    keys.keypress(ord("z"))
    assert await typing.typed("az") == "az"


async def test_caps_lock_of_one_viewer_changes_nothing(typing: Typing) -> None:
    await typing.clear()
    typing.desktop.input.keypress(0xFFE5)
    typing.desktop.input.keypress(ord("q"))
    assert await typing.typed("q") == "q"


async def test_reset_lets_everything_go(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    keys.key_down(SHIFT_L)
    keys.key_down(CONTROL_L)
    keys.move(50, 300)
    keys.button_down(1)
    keys.reset()
    ups = "log.filter(e => ['keyup', 'mouseup'].includes(e.kind)).length"
    assert await typing.page.until(f"{ups} === 3")
    await typing.clear()
    keys.keypress(ord("a"))
    assert await typing.typed("a") == "a"


async def test_the_pointer_goes_where_it_is_sent_and_clicks_there(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    offset = await typing.page.evaluate("[outerWidth - innerWidth, outerHeight - innerHeight]")
    for button, name in ((1, 0), (2, 1), (3, 2)):
        await typing.page.evaluate("log.length = 0")
        keys.move(500, 600)
        keys.button_down(button)
        keys.button_up(button)
        event = (await typing.page.until("log.filter(e => e.kind === 'mousedown')"))[0]
        assert (event["button"], event["x"], event["y"]) == (name, 500 - offset[0], 600 - offset[1])
    assert typing.desktop.cursor_position() == (500, 600)


async def test_the_wheel_turns_the_page_and_control_goes_with_it(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    keys.move(500, 600)
    keys.scroll(0, -3)
    assert await typing.page.until("scrollY > 100")
    assert await typing.page.evaluate("log.find(e => e.kind === 'wheel').dy") > 0
    keys.scroll(0, 3)
    assert await typing.page.until("scrollY === 0")
    await typing.page.evaluate(
        "log.length = 0; addEventListener('wheel', e => e.preventDefault(), {passive: false})"
    )
    keys.scroll(0, 1, control_key=True)
    event = (await typing.page.until("log.filter(e => e.kind === 'wheel')"))[0]
    assert event["ctrl"]
    assert event["dy"] < 0
    keys.keypress(ord("n"))
    assert await typing.typed("n") == "n"


async def test_nonsense_is_dropped_or_clamped(typing: Typing) -> None:
    await typing.clear()
    keys = typing.desktop.input
    for keysym in (-1, 0, 0x7F, 0x0100D800, 0x01110000, 1 << 40, 0xFED5, 0x1008FE01):
        keys.key_down(keysym)
        keys.key_up(keysym)
    for button in (-1, 0, 11, 1 << 40):
        keys.button_down(button)
        keys.button_up(button)
    keys.scroll(0, 1 << 40)
    keys.move(1 << 40, -(1 << 40))
    assert typing.desktop.cursor_position() == (typing.desktop.screen.width - 1, 0)
    keys.keypress(ord("k"))
    assert await typing.typed("k") == "k"


async def test_a_character_that_no_key_has_costs_the_window_manager_little(typing: Typing) -> None:
    await typing.clear()
    openbox = next(child for child in psutil.Process().children() if child.name() == "openbox")
    before = sum(openbox.cpu_times()[:2])
    text = "".join(map(chr, range(0x3041, 0x3041 + 60)))
    for character in text:
        typing.desktop.input.keypress(keysyms.of_character(character))
    assert await typing.typed(text) == text
    assert (sum(openbox.cpu_times()[:2]) - before) / len(text) < 0.02


async def test_a_popup_takes_the_keys_and_gives_them_back(typing: Typing) -> None:
    await typing.clear()
    await typing.page.evaluate(
        "void (popup = window.open('about:blank', 'popup', 'width=300,height=200'));"
        "popup.document.write('<textarea autofocus></textarea>');"
        "popup.document.querySelector('textarea').focus()"
    )
    await typing.page.until("popup.document.hasFocus()")
    typing.desktop.input.keypress(ord("x"))  # somebody types while its window opens
    await typing.page.until("popup.document.hasFocus() && !document.hasFocus()")
    typing.desktop.input.keypress(ord("p"))
    await typing.page.until("popup.document.querySelector('textarea').value.endsWith('p')")
    await typing.page.evaluate("popup.close()")
    await typing.page.until("popup.closed && document.hasFocus()")
    await typing.page.evaluate("field.value = ''; field.focus()")
    typing.desktop.input.keypress(ord("q"))
    assert await typing.typed("q") == "q"
