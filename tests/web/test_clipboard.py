"""The clipboard both ways, and what the page does where the browser refuses."""

from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import Browser, sign_in
from tests.web.room_server import RoomServer
from tests.web.test_visit import KEY_DOWN, KEY_UP, inputs, take_control, wait_for_inputs

CONTROL, C, V = 0xFFE3, 0x63, 0x76

PASTE = """([text, html]) => {
  const clipboardData = new DataTransfer();
  if (text) clipboardData.setData("text/plain", text);
  if (html) clipboardData.setData("text/html", html);
  const about = {clipboardData, bubbles: true, cancelable: true};
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", about));
}"""
RECORD = """() => {
  window.copied = [];
  navigator.clipboard.writeText = async (text) => { window.copied.push(text); };
}"""
REFUSE = """() => {
  navigator.clipboard.writeText = async () => { throw new DOMException("no", "NotAllowedError"); };
  document.addEventListener("copy", () => { window.copied = [document.getSelection().toString()
    || document.activeElement.value]; });
}"""


def heard(page: Page, room: RoomServer, event: str, count: int = 1) -> list[object]:
    wait_until(lambda: page.evaluate("1") and len(room.said(event)) >= count, within=5, what=event)
    return [message.get("payload") for message in room.said(event)]


def test_what_was_copied_here_is_pasted_there(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    page.keyboard.down("Control")
    page.keyboard.press("v")
    page.evaluate(PASTE, ["some text", ""])
    # the key itself may paste what this browser's clipboard has, before or after
    wait_until(
        lambda: {"text": "some text"} in heard(page, room, "control/paste"),
        within=5,
        what="the text is pasted",
    )
    wait_for_inputs(room, [(KEY_DOWN, CONTROL), (KEY_UP, CONTROL)], KEY_DOWN, KEY_UP)
    # Control is still held here: the next key brings it back there.
    page.keyboard.press("c")
    page.keyboard.up("Control")
    expected = [
        (KEY_DOWN, CONTROL),
        (KEY_UP, CONTROL),
        (KEY_DOWN, CONTROL),
        (KEY_DOWN, C),
        (KEY_UP, C),
        (KEY_UP, CONTROL),
    ]
    wait_for_inputs(room, expected, KEY_DOWN, KEY_UP)


def test_formatted_text_stays_formatted(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    page.evaluate(PASTE, ["bold", "<b>bold</b>"])
    assert heard(page, room, "control/paste") == [{}]
    assert room.bodies == [("POST room/clipboard", {"text": "bold", "html": "<b>bold</b>"})]


def test_without_the_right_ctrl_v_is_a_key_like_any_other(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    room.tell(
        mine, "session/profile", {"id": mine, **room.sessions[mine]["profile"], "can_access_clipboard": False}
    )
    take_control(page)
    page.keyboard.press("Control+v")
    expected = [(KEY_DOWN, CONTROL), (KEY_DOWN, V), (KEY_UP, V), (KEY_UP, CONTROL)]
    wait_for_inputs(room, expected, KEY_DOWN, KEY_UP)
    page.evaluate(PASTE, ["some text", ""])
    page.get_by_role("button", name="people here").press("Enter")
    page.get_by_role("tab", name="Settings").click()
    expect(page.locator("#clipboard")).to_be_hidden()
    assert room.said("control/paste") == []


def test_what_was_copied_there_is_copied_here(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    take_control(page)
    page.evaluate(RECORD)
    room.tell(mine, "clipboard/updated", {"text": "from there"})
    page.wait_for_function("() => window.copied.length === 1")
    page.evaluate(PASTE, ["from here", ""])
    heard(page, room, "control/paste")
    room.tell(mine, "clipboard/updated", {"text": "from here"})  # the server repeats what we sent
    room.tell(mine, "clipboard/updated", {"text": "again"})
    page.wait_for_function("() => window.copied.length === 2")
    assert page.evaluate("window.copied") == ["from there", "again"]
    expect(page.locator("#prompts")).not_to_contain_text("copied text")


def test_where_the_browser_refuses_a_button_copies(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    take_control(page)
    page.evaluate(REFUSE)
    room.tell(mine, "clipboard/updated", {"text": "from there"})
    page.get_by_role("button", name="Copy it here").click()
    expect(page.locator("#prompts")).to_contain_text("Copied.")
    assert page.evaluate("window.copied") == ["from there"]


def test_the_box_in_the_settings_does_without_keys(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    take_control(page)
    page.mouse.move(640, 0)
    page.get_by_role("button", name="people here").click()
    page.get_by_role("tab", name="Settings").click()
    page.evaluate(RECORD)
    room.tell(mine, "clipboard/updated", {"text": "from there"})
    box = page.get_by_label("Text in the clipboard")
    expect(box).to_have_value("from there")
    box.fill("typed on a phone")
    page.get_by_role("button", name="Put it there").click()
    assert heard(page, room, "clipboard/set") == [{"text": "typed on a phone"}]
    page.get_by_role("button", name="Paste it there").click()
    assert heard(page, room, "control/paste") == [{"text": "typed on a phone"}]
    assert inputs(room, KEY_DOWN) == []
    box.fill("x" * 600_000)
    page.get_by_role("button", name="Put it there").click()
    expect(page.locator("#prompts")).to_contain_text("too long")


def test_a_paste_stays_where_it_was_among_the_keys(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    room.delay = 0.3
    page.keyboard.press("c")
    page.evaluate(PASTE, ["first", ""])
    page.keyboard.press("c")
    page.evaluate(PASTE, ["second", "<b>second</b>"])
    page.keyboard.press("c")
    done = ["ping", "pong", "paste", "pasted"]
    expected = ["key", *done, "key", *done, "key"]
    wait_until(lambda: page.evaluate("1") and room.order.count("key") >= 3, within=10, what="the keys")
    assert [what for what in room.order if what] == expected
    assert heard(page, room, "control/paste") == [{"text": "first"}, {}]


def test_a_server_that_answers_nothing_delays_a_paste_and_no_more(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    room.delay = 60
    page.evaluate(PASTE, ["some text", ""])
    page.keyboard.press("c")
    assert heard(page, room, "control/paste") == [{"text": "some text"}]
    wait_until(lambda: page.evaluate("1") and "key" in room.order, within=10, what="the key")
    assert [what for what in room.order if what] == ["ping", "paste", "key"]
    room.delay = 0
