"""A visit to the page: signing in, watching, taking control, input, the others, and leaving."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import Browser, sign_in
from tests.web.room_server import PASSWORD, RoomServer

MOVE, SCROLL, KEY_DOWN, KEY_UP, BUTTON_DOWN, BUTTON_UP = range(1, 7)


def sentence(page: Page, text: str) -> None:
    expect(page.locator("#bar-sentence")).to_have_text(text)


def take_control(page: Page) -> None:
    page.get_by_role("button", name="Take control").click()
    sentence(page, "You are in control.")


def inputs(room: RoomServer, *opcodes: int) -> list[tuple[int, ...]]:
    """What came by the data channel: (opcode, *values) of the given opcodes."""
    shapes = {MOVE: "!HH", SCROLL: "!hhB"}
    return [
        (message[0], *struct.unpack(shapes.get(message[0], "!I"), message[3:]))
        for message in list(room.input)
        if message[0] in opcodes
    ]


def wait_for_inputs(room: RoomServer, expected: Sequence[tuple[int, ...]], *opcodes: int) -> None:
    wait_until(lambda: len(inputs(room, *opcodes)) >= len(expected), within=5, what=f"{expected} arrive")
    assert inputs(room, *opcodes) == list(expected)


def spot(page: Page, x: int, y: int) -> tuple[float, float]:
    """Where the remote pixel is on the page."""
    box = page.locator("#video").bounding_box()
    assert box is not None
    return box["x"] + (x + 0.5) * box["width"] / 1280, box["y"] + (y + 0.5) * box["height"] / 720


def png(width: int, height: int) -> bytes:
    """A red picture."""
    rows = b"".join(b"\x00" + b"\xff\x00\x00\xff" * width for _ in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))

    header = struct.pack("!IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_visit_from_signing_in_to_signing_out(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    assert page.get_by_label("Password").input_value() == ""
    assert page.evaluate("document.cookie") == ""
    assert PASSWORD not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    page.reload()
    sentence(page, "Watching. Nobody is in control.")
    wait_until(lambda: room.closed, within=5, what="the socket of before is closed")
    assert room.closed == [1001]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    wait_until(lambda: room.posts, within=5, what="the server is told")
    assert room.closed == [1001, 1000]
    assert session not in room.sessions
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


LATE_CHANNEL = """() => {
  const {get, set} = Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, 'ondatachannel');
  Object.defineProperty(RTCPeerConnection.prototype, 'ondatachannel', {get, set(listener) {
    set.call(this, (event) => { window.openChannel = () => listener(event); });
  }});
}"""
"""The page learns of its data channel when the test says so."""


def test_what_is_typed_before_the_data_channel_opens_is_not_lost(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    page.evaluate(LATE_CHANNEL)
    sign_in(page)
    take_control(page)
    page.wait_for_function("'openChannel' in window")
    page.keyboard.type("abc")
    assert inputs(room, KEY_DOWN) == []
    page.evaluate("window.openChannel()")
    wait_for_inputs(room, [e for key in b"abc" for e in ((KEY_DOWN, key), (KEY_UP, key))], KEY_DOWN, KEY_UP)


CONNECTIONS = """() => {
  window.connections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...settings) { super(...settings); connections.push(this); }
  };
}"""
"""The page's connections are counted."""


def test_the_connection_is_made_while_the_form_is_filled_in(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    page.evaluate(CONNECTIONS)
    states = "connections.map((connection) => connection.connectionState)"
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill("guess")
    assert page.evaluate(states) == ["new"]
    sign_in(page)
    expect(page.get_by_role("button", name="Take control")).to_be_visible()
    assert page.evaluate(states) == ["connected"]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.evaluate(states) == ["closed"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"code": 401, "message": "Unauthorized"}, {}), "The name or the password is wrong."),
        ((403, {"code": 403, "message": "logins are locked"}, {}), "New sign-ins are locked"),
        ((429, {"code": 429, "message": "slow down"}, {"Retry-After": "7"}), "Try again in 7 s."),
        ((500, {"code": 500, "message": "Internal Server Error"}, {}), "could not sign you in (500"),
    ],
)
def test_a_refused_sign_in_says_why(
    browser: Browser, room: RoomServer, answer: tuple[int, dict[str, Any], dict[str, str]], said: str
) -> None:
    room.login_answer = answer
    page = browser.open(room.url)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill("guess")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_label("Password")).to_be_focused()
    # The browser itself notes each refused request.
    browser.complaints[:] = [text for text in browser.complaints if "Failed to load resource" not in text]


def test_a_name_is_asked_for(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter a name")


def test_the_mouse_reaches_the_pixel_under_it(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    page.mouse.move(*spot(page, 50, 500))
    take_control(page)
    page.mouse.move(*spot(page, 100, 200))
    page.mouse.down()
    page.mouse.move(*spot(page, 300, 400))
    page.mouse.up()
    page.mouse.click(*spot(page, 300, 400), button="right")
    page.mouse.wheel(0, 240)  # Playwright's wheel says "one click" (wheelDelta 120) whatever the pixels
    expected = [
        (MOVE, 100, 200), (BUTTON_DOWN, 1), (MOVE, 300, 400), (BUTTON_UP, 1),
        (BUTTON_DOWN, 3), (BUTTON_UP, 3), (SCROLL, 0, -1, 0),
    ]  # fmt: skip
    wait_until(lambda: inputs(room, SCROLL), within=5, what="the wheel arrives")
    found = inputs(room, MOVE, SCROLL, BUTTON_DOWN, BUTTON_UP)
    assert found[found.index(expected[0]) :] == expected


def test_the_keyboard_reaches_the_browser_and_nothing_sticks(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    expect(page.locator("#keyboard")).to_be_focused()
    page.keyboard.press("a")
    page.keyboard.press("Shift+B")
    page.keyboard.press("Tab")
    page.keyboard.insert_text("é漢")
    page.keyboard.down("Control")
    page.keyboard.down("x")
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    taps = [0x61]
    expected = [event for key in taps for event in ((KEY_DOWN, key), (KEY_UP, key))]
    expected += [(KEY_DOWN, 0xFFE1), (KEY_DOWN, 0x42), (KEY_UP, 0x42), (KEY_UP, 0xFFE1)]
    for key in (0xFF09, 0xE9, 0x01006F22):
        expected += [(KEY_DOWN, key), (KEY_UP, key)]
    expected += [(KEY_DOWN, 0xFFE3), (KEY_DOWN, 0x78), (KEY_UP, 0xFFE3), (KEY_UP, 0x78)]
    wait_for_inputs(room, expected, KEY_DOWN, KEY_UP)


def test_composed_text_is_sent_once(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    cdp = page.context.new_cdp_session(page)
    cdp.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    cdp.send("Input.imeSetComposition", {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
    cdp.send("Input.insertText", {"text": "日本"})
    keys = (0x010065E5, 0x0100672C)
    wait_for_inputs(room, [e for key in keys for e in ((KEY_DOWN, key), (KEY_UP, key))], KEY_DOWN, KEY_UP)


def test_ctrl_alt_shift_gives_the_keyboard_back(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    for key in ("Control", "Alt", "Shift"):
        page.keyboard.down(key)
    for key in ("Shift", "Alt", "Control"):
        page.keyboard.up(key)
    expect(page.get_by_role("button", name="Release control")).to_be_focused()
    keys = (0xFFE3, 0xFFE9, 0xFFE1)
    expected = [(KEY_DOWN, key) for key in keys] + [(KEY_UP, key) for key in keys]
    wait_for_inputs(room, expected, KEY_DOWN, KEY_UP)
    page.keyboard.press("Enter")
    sentence(page, "Watching. Nobody is in control.")
    assert inputs(room, KEY_DOWN, KEY_UP) == expected


def test_losing_control_releases_what_is_held(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    bob = room.add_person("Bob")
    take_control(page)
    page.mouse.move(*spot(page, 10, 300))
    page.mouse.down()
    wait_until(lambda: inputs(room, BUTTON_DOWN), within=5, what="the button is down")
    room.set_controller(bob, bob)
    sentence(page, "Watching. Bob is in control.")
    wait_for_inputs(room, [(BUTTON_DOWN, 1), (BUTTON_UP, 1)], BUTTON_DOWN, BUTTON_UP)
    page.mouse.up()
    page.mouse.move(*spot(page, 20, 320))
    before = len(room.input)
    page.keyboard.press("a")
    page.evaluate("new Promise(requestAnimationFrame)")
    assert len(room.input) == before


def test_a_press_on_a_free_picture_takes_control_and_is_not_input(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    page.mouse.click(*spot(page, 500, 500))
    sentence(page, "You are in control.")
    page.mouse.click(*spot(page, 600, 600))
    wait_for_inputs(room, [(BUTTON_DOWN, 1), (BUTTON_UP, 1)], BUTTON_DOWN, BUTTON_UP)


def test_asking_giving_and_taking(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    bob = room.add_person("Bob")
    room.set_controller(bob, bob)
    page.mouse.click(*spot(page, 500, 500))
    expect(page.locator("#prompts")).to_contain_text("Bob is in control.")
    assert room.said("control/request") == []
    page.get_by_role("button", name="Ask for control").click()
    sentence(page, "You asked Bob for control.")
    room.set_controller(mine, bob)
    sentence(page, "You are in control.")
    room.tell(mine, "control/request", {"id": bob})
    expect(page.get_by_text("Bob asks for control.")).to_be_visible()
    page.get_by_role("button", name="Give control").click()
    sentence(page, "Watching. Bob is in control.")
    assert room.posts == [f"control/give/{bob}"]
    room.set_controller(mine, bob)
    room.tell(mine, "control/request", {"id": bob})
    expect(page.get_by_text("Bob asks for control.")).to_be_visible()
    room.set_controller(None, mine)
    expect(page.get_by_text("Bob asks for control.")).to_be_hidden()


def test_an_administrator_takes_gives_and_takes_away(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page, "admin")
    bob = room.add_person("Bob")
    room.set_controller(bob, bob)
    page.get_by_role("button", name="Take control").click()
    sentence(page, "You are in control.")
    page.keyboard.press("Escape")
    page.mouse.move(640, 0)
    page.get_by_role("button", name="people here").click()
    page.get_by_role("button", name="Give control to Bob").click()
    sentence(page, "Watching. Bob is in control.")
    page.get_by_role("button", name="Take control away from Bob").click()
    sentence(page, "Watching. Nobody is in control.")
    assert room.posts == ["control/take", f"control/give/{bob}", "control/reset"]


def test_names_of_others_are_only_text(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    name = "<img src=x onerror=alert(1)>"
    other = room.add_person(name)
    room.set_controller(other, other)
    page.get_by_role("button", name="people here").click()
    expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text("in control")
    room.tell(mine, "control/request", {"id": other})
    expect(page.get_by_text(f"{name} asks for control.")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


def test_the_cursor_is_the_mouses_in_control_and_drawn_when_watching(
    browser: Browser, room: RoomServer
) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    wait_until(lambda: mine in room.channels, within=5, what="the data channel is open")
    picture = png(24, 24)
    shape = struct.pack("!BHHHHH", 2, 11 + len(picture), 24, 24, 4, 6) + picture
    room.tell_by_channel(mine, shape)
    room.tell_by_channel(mine, struct.pack("!BHHH", 1, 7, 300, 200))
    cursor = page.locator("#cursor")
    expect(cursor).to_be_visible()
    box = cursor.bounding_box()
    assert box is not None
    x, y = spot(page, 300 - 4, 200 - 6)
    assert (box["x"], box["y"]) == pytest.approx((x, y), abs=1)
    take_control(page)
    expect(cursor).to_be_hidden()
    style = page.evaluate("getComputedStyle(document.getElementById('surface')).cursor")
    assert style.startswith('url("blob:')
    assert style.endswith('") 4 6, default')


def test_sound_alone_is_no_picture(browser: Browser, room: RoomServer) -> None:
    room.showing = False
    page = browser.open(room.url)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    wait_until(lambda: room.channels, within=5, what="the media connection is up")
    sentence(page, "Connecting: waiting for the picture.")


def test_the_last_picture_stays_when_the_connection_ends(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    room.dismiss(session, "connection replaced")
    still = page.locator("#still")
    expect(still).to_be_visible()
    middle = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
    red, green, blue, _ = still.evaluate(middle)
    assert green > 100 > red + blue
    page.get_by_role("button", name="Use it here").click()
    sentence(page, "Watching. Nobody is in control.")
    expect(still).to_be_hidden()


def test_sound_starts_off_and_one_button_turns_it_on(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    muted = "document.querySelector('video').muted"
    assert page.evaluate(muted) is True
    page.get_by_role("button", name="Turn sound on").click()
    assert page.evaluate(muted) is False
    page.get_by_role("slider", name="Volume").fill("0.5")
    assert page.evaluate("document.querySelector('video').volume") == 0.5
    page.get_by_role("button", name="Turn sound off").click()
    assert page.evaluate(muted) is True


LOUDNESS = """async () => {
  const context = new AudioContext();
  await context.resume();
  const splitter = context.createChannelSplitter(2);
  context.createMediaStreamSource(document.querySelector('video').srcObject).connect(splitter);
  const analysers = [0, 1].map((channel) => {
    const analyser = context.createAnalyser();
    splitter.connect(analyser, channel);
    return analyser;
  });
  const peak = (analyser) => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  };
  const deadline = Date.now() + 5000;
  while (peak(analysers[0]) < 0.1 && Date.now() < deadline) await new Promise(requestAnimationFrame);
  const peaks = analysers.map(peak);
  await context.close();
  return peaks;
}"""


def test_sound_has_two_channels(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    left, right = page.evaluate(LOUDNESS)
    assert left > 0.1
    assert right < left / 4


def test_what_is_held_is_renewed(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url, own_clock=True)
    sign_in(page)
    take_control(page)
    page.mouse.move(*spot(page, 10, 300))
    page.mouse.down()
    page.clock.run_for(3_100)
    page.mouse.up()
    expected = [(BUTTON_DOWN, 1), (BUTTON_DOWN, 1), (BUTTON_UP, 1)]
    wait_for_inputs(room, expected, BUTTON_DOWN, BUTTON_UP)


def test_a_modifier_whose_release_was_lost_is_released(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    page.keyboard.down("Shift")
    # The system kept the release of Shift for itself: the next key comes without it.
    cdp = page.context.new_cdp_session(page)
    key = {"key": "b", "code": "KeyB", "windowsVirtualKeyCode": 66, "modifiers": 0}
    cdp.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    cdp.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    expected = [(KEY_DOWN, 0xFFE1), (KEY_UP, 0xFFE1), (KEY_DOWN, 0x62), (KEY_UP, 0x62)]
    wait_for_inputs(room, expected, KEY_DOWN, KEY_UP)
    page.keyboard.up("Shift")


def test_everything_is_reached_by_keyboard(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    page.keyboard.type("Ann")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    sentence(page, "Watching. Nobody is in control.")
    names = []
    for _ in range(6):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
    assert names == ["control", "sound", "people-toggle", "connection-toggle", "fullscreen", "sign-out"]
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, input, textarea')].filter((part) => part.checkVisibility()
            && !part.labels?.length && !part.ariaLabel && !part.textContent.trim()).length"""
    )
    assert unnamed == 0
    page.locator("#people-toggle").press("Enter")
    page.locator("#panel-close").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#people-toggle")).to_be_focused()
    page.locator("#control").press("Enter")
    sentence(page, "You are in control.")
    expect(page.locator("#keyboard")).to_be_focused()


def test_the_bar_hides_in_control_and_returns_at_the_top(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    page.mouse.move(640, 500)
    expect(page.locator("#bar")).to_be_hidden()
    page.mouse.move(640, 0)
    expect(page.locator("#bar")).to_be_visible()
    page.mouse.move(640, 500)
    expect(page.locator("#bar")).to_be_hidden()
    page.get_by_role("button", name="Show the bar").click()
    expect(page.locator("#bar")).to_be_visible()


def test_a_crash_of_the_shared_browser_is_told_until_it_is_back(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    sentence(page, "Watching. Nobody is in control.")
    for state in ("crashed", "waiting", "starting"):
        room.tell_all("browser/state", {"state": state})
        sentence(page, "The browser crashed and is starting again.")
    expect(page.get_by_role("heading", name="The browser crashed")).to_be_visible()
    room.tell_all("browser/state", {"state": "running"})
    sentence(page, "Watching. Nobody is in control.")
    room.tell_all("browser/state", {"state": "waiting"})
    sentence(page, "The browser is starting.")
