"""The page's pure modules, evaluated in the browser they are made for."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.room_server import RoomServer


@pytest.fixture(scope="module")
def page(chromium: BrowserContext) -> Iterator[Page]:
    room = RoomServer()
    room.start()
    page = chromium.new_page()
    page.goto(room.url)
    yield page
    page.close()
    room.stop()


def evaluate(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """Evaluate an expression of the module's exports `m` and the argument `a`."""
    script = f"async (a) => {{ const m = await import('./{module}'); return {expression}; }}"
    return page.evaluate(script, argument)


# Key: (key, code, location, mac, keysym by X11 keysymdef.h)
KEYS: list[tuple[str, str, int, bool, int | None]] = [
    ("a", "KeyA", 0, False, 0x61),
    ("A", "KeyA", 0, False, 0x41),
    (" ", "Space", 0, False, 0x20),
    ("~", "Backquote", 0, False, 0x7E),
    ("ä", "Quote", 0, False, 0xE4),
    ("ÿ", "KeyY", 0, False, 0xFF),
    ("Ā", "KeyA", 0, False, 0x01000100),
    ("€", "KeyE", 0, False, 0x010020AC),
    ("я", "KeyZ", 0, False, 0x0100044F),
    ("漢", "", 0, False, 0x01006F22),
    ("😀", "", 0, False, 0x0101F600),
    ("Enter", "Enter", 0, False, 0xFF0D),
    ("Enter", "NumpadEnter", 3, False, 0xFF8D),
    ("Backspace", "Backspace", 0, False, 0xFF08),
    ("Tab", "Tab", 0, False, 0xFF09),
    ("Escape", "Escape", 0, False, 0xFF1B),
    ("Delete", "Delete", 0, False, 0xFFFF),
    ("Delete", "NumpadDecimal", 3, False, 0xFF9F),
    (".", "NumpadDecimal", 3, False, 0xFFAE),
    (",", "NumpadDecimal", 3, False, 0xFFAC),
    ("7", "Numpad7", 3, False, 0xFFB7),
    ("Home", "Numpad7", 3, False, 0xFF95),
    ("7", "Digit7", 0, False, 0x37),
    ("+", "NumpadAdd", 3, False, 0xFFAB),
    ("/", "NumpadDivide", 3, False, 0xFFAF),
    ("ArrowLeft", "ArrowLeft", 0, False, 0xFF51),
    ("ArrowDown", "ArrowDown", 0, False, 0xFF54),
    ("PageUp", "PageUp", 0, False, 0xFF55),
    ("F1", "F1", 0, False, 0xFFBE),
    ("F12", "F12", 0, False, 0xFFC9),
    ("Shift", "ShiftLeft", 1, False, 0xFFE1),
    ("Shift", "ShiftRight", 2, False, 0xFFE2),
    ("Control", "ControlLeft", 1, False, 0xFFE3),
    ("Control", "ControlRight", 2, False, 0xFFE4),
    ("Alt", "AltLeft", 1, False, 0xFFE9),
    ("Meta", "MetaLeft", 1, False, 0xFFEB),
    ("Meta", "MetaRight", 2, False, 0xFFEC),
    ("Meta", "MetaLeft", 1, True, 0xFFE3),
    ("Meta", "MetaRight", 2, True, 0xFFE4),
    ("Alt", "AltLeft", 1, True, None),
    ("AltGraph", "AltRight", 2, False, None),
    ("CapsLock", "CapsLock", 0, False, None),
    ("Dead", "BracketLeft", 0, False, None),
    ("Unidentified", "", 0, False, None),
    ("Process", "KeyA", 0, False, None),
    ("AudioVolumeUp", "AudioVolumeUp", 0, False, None),
]


def test_each_key_has_its_keysym(page: Page) -> None:
    keys = [{"key": key, "code": code, "location": place} for key, code, place, _, _ in KEYS]
    macs = [mac for *_, mac, _ in KEYS]
    found = evaluate(page, "keysym.js", "a[0].map((key, i) => m.keysymOf(key, a[1][i]))", [keys, macs])
    wrong = {row[:4]: (value, row[4]) for row, value in zip(KEYS, found, strict=True) if value != row[4]}
    assert not wrong


def test_shortcuts_work_in_every_script(page: Page) -> None:
    key = {"key": "с", "code": "KeyC", "location": 0, "ctrlKey": True}
    assert evaluate(page, "keysym.js", "m.keysymOf(a, false)", key) == ord("c")
    assert evaluate(page, "keysym.js", "m.keysymOf(a, false)", key | {"altGraph": True}) == 0x01000441
    option = {"key": "å", "code": "KeyA", "location": 0, "altKey": True}
    assert evaluate(page, "keysym.js", "m.keysymOf(a, true)", option) == 0xE5


def test_text_is_typed_character_by_character(page: Page) -> None:
    found = evaluate(page, "keysym.js", "m.keysymsOfText(a)", "é\n\t\x07😀")
    assert found == [0xE9, 0xFF0D, 0xFF09, 0x0101F600]


MESSAGES: list[tuple[str, bytes]] = [
    ("m.encodeMove(0x0102, 0xfffe)", struct.pack("!BHHH", 1, 4, 0x0102, 0xFFFE)),
    ("m.encodeScroll(-3, 2, true)", struct.pack("!BHhhB", 2, 5, -3, 2, 1)),
    ("m.encodeScroll(0, -1, false)", struct.pack("!BHhhB", 2, 5, 0, -1, 0)),
    ("m.encodeKeyDown(0x0101f600)", struct.pack("!BHI", 3, 4, 0x0101F600)),
    ("m.encodeKeyUp(0xff0d)", struct.pack("!BHI", 4, 4, 0xFF0D)),
    ("m.encodeButtonDown(1)", struct.pack("!BHI", 5, 4, 1)),
    ("m.encodeButtonUp(9)", struct.pack("!BHI", 6, 4, 9)),
    ("m.encodePing(1790000000123)", struct.pack("!BHII", 7, 8, *divmod(1790000000123, 2**32 - 1))),
]


@pytest.mark.parametrize(("expression", "expected"), MESSAGES)
def test_client_messages_have_the_protocols_bytes(page: Page, expression: str, expected: bytes) -> None:
    found = evaluate(page, "datachannel.js", f"[...new Uint8Array({expression})]")
    assert bytes(found) == expected


def test_server_messages_are_read(page: Page) -> None:
    def decode(message: bytes) -> Any:
        script = "((d) => d && ({...d, png: d.png && [...d.png]}))(m.decode(new Uint8Array(a).buffer))"
        return evaluate(page, "datachannel.js", script, list(message))

    position = decode(struct.pack("!BHHH", 1, 7, 700, 65000))
    assert (position["type"], position["x"], position["y"]) == ("cursor-position", 700, 65000)
    picture = bytes(range(256)) * 300
    shape = decode(struct.pack("!BHHHHH", 2, (11 + len(picture)) % 65536, 24, 32, 3, 4) + picture)
    assert [shape[name] for name in ("width", "height", "xhot", "yhot")] == [24, 32, 3, 4]
    assert bytes(shape["png"]) == picture
    times = (*divmod(1790000000123, 2**32 - 1), *divmod(1790000000456, 2**32 - 1))
    pong = decode(struct.pack("!BHIIII", 3, 19, *times))
    assert (pong["sent"], pong["answered"]) == (1790000000123, 1790000000456)
    for junk in (b"", b"\x01", b"\x01\x00\x07\x00", b"\x02\x00\x00\x00", b"\x03\x00", b"\xff\x00\x04abcd"):
        assert decode(junk) is None


@pytest.mark.parametrize(
    ("stage", "screen", "ratio", "expected"),
    [
        ((1280, 800), (1280, 720), 1, (0, 60, 1280, 720)),  # the bar has its place above
        ((1400, 800), (1280, 720), 1, (60, 60, 1280, 720)),  # nearly as large: sharp with a border
        ((1280, 730), (1280, 720), 1, (0, 10, 1280, 720)),  # less room than the bar: as low as it goes
        ((640, 360), (1280, 720), 2, (0, 0, 640, 360)),  # 1:1 on a dense display
        ((1920, 1080), (1280, 720), 1, (0, 0, 1920, 1080)),
        ((390, 844), (1280, 720), 1, (0, 332, 390, 219)),
    ],
)
def test_the_picture_fits(
    page: Page,
    stage: tuple[int, int],
    screen: tuple[int, int],
    ratio: float,
    expected: tuple[float, float, float, float],
) -> None:
    script = """m.fit({width: a[0][0], height: a[0][1]}, {width: a[1][0], height: a[1][1]}, a[2], 40)"""
    box = evaluate(page, "geometry.js", script, [stage, screen, ratio])
    assert (box["left"], box["top"], box["width"], box["height"]) == expected


def test_a_point_is_the_pixel_under_it(page: Page) -> None:
    script = """a.map(([x, y]) => m.toScreen({x, y}, {left: 10, top: 20, width: 640, height: 360},
                                              {width: 1280, height: 720}))"""
    points = evaluate(
        page, "geometry.js", script, [(10, 20), (10.5, 20.5), (649.9, 379.9), (0, 0), (999, 999)]
    )
    assert [(point["x"], point["y"]) for point in points] == [
        (0, 0),
        (1, 1),
        (1279, 719),
        (0, 0),
        (1279, 719),
    ]


def wheel(y: float, wheel_y: float | None = None, mode: int = 0, time: float = 0) -> dict[str, float | None]:
    return {"deltaX": 0, "deltaY": y, "deltaMode": mode, "timeStamp": time, "wheelDeltaY": wheel_y}


@pytest.mark.parametrize(
    ("events", "notches"),
    [
        ([wheel(100, -120)], [-1]),  # one click down, Windows
        ([wheel(-120, 120)], [1]),  # one click up, Linux
        ([wheel(66.7, -120)], [-1]),  # one click on a page zoomed to 150 %
        ([wheel(3, mode=1)], [-1]),  # Firefox counts lines
        ([wheel(1, mode=1)] * 3, [0, 0, -1]),
        ([wheel(20, -60)] * 6, [0, 0, -1, 0, 0, -1]),  # a trackpad, in parts of a notch
        ([wheel(50, -150), wheel(-70, 210)], [0, 1]),  # a turn the other way starts anew
        ([wheel(50, -150), wheel(50, -150, time=5000)], [0, 0]),  # after a rest too
        ([wheel(100000, -99999)], [-20]),
    ],
)
def test_parts_of_a_notch_add_up(page: Page, events: list[Any], notches: list[int]) -> None:
    script = "((counter) => a.map((event) => counter.count(event).dy))(new m.NotchCounter())"
    assert evaluate(page, "wheel.js", script, events) == notches


def test_the_answer_asks_for_stereo(page: Page) -> None:
    sdp = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:96 VP8/90000\r\n"
    expected = sdp.replace("111 minptime", "111 stereo=1;minptime")
    assert evaluate(page, "answer.js", "m.withStereo(a)", sdp) == expected
    assert evaluate(page, "answer.js", "m.withStereo(a)", expected) == expected
    bare = "a=rtpmap:111 opus/48000/2\r\na=mid:0\r\n"
    with_line = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1\r\na=mid:0\r\n"
    assert evaluate(page, "answer.js", "m.withStereo(a)", bare) == with_line
    assert evaluate(page, "answer.js", "m.withStereo(a)", "v=0\r\n") == "v=0\r\n"


def test_waiting_grows_and_is_bounded(page: Page) -> None:
    delays = evaluate(
        page, "retry.js", "[1, 2, 3, 9, 400].flatMap((n) => [m.retryDelay(n, 0), m.retryDelay(n, 0.999999)])"
    )
    assert delays == [250, 500, 500, 1000, 1000, 2000, 7500, 15000, 7500, 15000]


def test_no_state_is_without_a_sentence(page: Page) -> None:
    script = """(() => {
      const said = [];
      const phases = ['checking', 'signed-out', 'signing-in', 'connecting', 'live', 'reconnecting', 'ended'];
      for (const phase of phases)
      for (const media of ['none', 'connecting', 'connected', 'interrupted'])
      for (const browser of ['starting', 'running', 'crashed', 'waiting', 'stopped'])
      for (const bits of Array(128).keys()) {
        const bit = (n) => Boolean(bits & (1 << n));
        said.push(m.describe({phase, media, picture: bit(0), mediaAttempt: bit(1) ? 3 : 1, canWatch: bit(2),
          paused: bits % 3 === 1,
          isPrivate: bit(3), inControl: bit(4), controller: bit(5) ? 'Ann' : null, asked: false,
          browser, browserCrashed: bit(6),
          lost: {why: 'w', attempt: 2, since: 0, next: 5},
          end: {title: 'E', detail: 'D.', action: null}}).sentence);
      }
      return said;
    })()"""
    for sentence in evaluate(page, "status.js", script):
        assert sentence.endswith(".")
        assert "undefined" not in sentence
        assert "null" not in sentence
