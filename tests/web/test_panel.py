"""The side panel: people and what administrators may do, chat, files, settings, connection."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until
from tests.web.conftest import PHONE, Browser, sign_in
from tests.web.room_server import RoomServer
from tests.web.test_visit import take_control

TEXT: Any = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"content"}
FILES: dict[str, Any] = {
    "enabled": True,
    "root_dir": "/downloads",
    "user_download": True,
    "user_upload": False,
    "user_delete": False,
    "files": [
        {"name": "a&b 'c'.txt", "type": "file", "size": 1_234_567},
        {"name": "folder", "type": "dir"},
        {"name": "<img src=x>", "type": "file", "size": 3},
    ],
}


def show(page: Page, tab: str) -> None:
    if not page.locator("#panel").is_visible():
        page.get_by_role("button", name="people here").click()
    page.get_by_role("tab", name=tab).click()


def test_the_tabs_are_walked_by_keyboard_and_give_the_focus_back(browser: Browser, room: RoomServer) -> None:
    room.files = FILES
    page = browser.open(room.url)
    sign_in(page)
    page.locator("#people-toggle").press("Enter")
    page.locator("#tab-people").focus()
    walked = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowRight", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        walked.append(page.evaluate("document.activeElement.id"))
        assert page.evaluate("document.activeElement.ariaSelected") == "true"
    assert walked == ["tab-chat", "tab-files", "tab-connection", "tab-people", "tab-connection", "tab-people"]
    expect(page.get_by_role("tabpanel", name="People")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#people-toggle")).to_be_focused()
    page.locator("#connection-toggle").press("Enter")
    expect(page.get_by_role("tabpanel", name="Connection")).to_be_visible()
    page.locator("#panel-close").press("Enter")
    expect(page.locator("#connection-toggle")).to_be_focused()


def test_the_panel_is_beside_the_picture_and_below_it_on_phones(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page)
    show(page, "People")
    for size, beside in (({"width": 1280, "height": 800}, True), (PHONE, False)):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        page.evaluate("new Promise(requestAnimationFrame)")
        picture, panel = (page.locator(part).bounding_box() for part in ("#video", "#panel"))
        assert picture is not None
        assert panel is not None
        if beside:
            assert picture["x"] + picture["width"] <= panel["x"] + 1
        else:
            assert picture["y"] + picture["height"] <= panel["y"] + 1
            assert panel["width"] == PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_people_talk(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    bob = room.add_person("Bob")
    expect(page.locator("#bar-unread")).to_be_hidden()
    said = {"id": bob, "created": "2026-01-02T03:04:05Z", "content": {"text": "<b>hi</b>\nthere"}}
    room.tell(mine, "chat/message", said)
    room.tell(mine, "chat/message", said)
    expect(page.locator("#bar-unread")).to_have_text("2")
    page.get_by_role("button", name="people here").click()  # it opens where something new is
    expect(page.get_by_role("tabpanel", name="Chat")).to_be_visible()
    expect(page.locator("#bar-unread")).to_be_hidden()
    expect(page.locator(".chat-body").first).to_have_text("<b>hi</b>\nthere")
    box = page.get_by_label("Message to everybody here")
    box.fill("first line")
    box.press("Shift+Enter")
    box.press_sequentially("second")
    box.press("Enter")
    expect(page.locator(".own .chat-body")).to_have_text("first line\nsecond")
    expect(box).to_have_value("")
    box.fill("   ")
    box.press("Enter")
    assert [message["payload"] for message in room.said("chat/message")] == [{"text": "first line\nsecond"}]

    room.update_settings(plugins={"chat.can_send": False})
    expect(page.get_by_text("An administrator has closed the chat for you.")).to_be_visible()
    expect(box).to_be_hidden()
    room.update_settings(plugins={"chat.can_send": False, "chat.can_receive": False})
    expect(page.get_by_role("tab", name="Chat")).to_be_hidden()


def test_without_a_chat_and_files_there_are_no_tabs(browser: Browser, room: RoomServer) -> None:
    room.chat = False
    room.files = {**FILES, "enabled": False, "files": None}
    page = browser.open(room.url)
    sign_in(page)
    page.get_by_role("button", name="people here").click()
    expect(page.get_by_role("tab")).to_have_text(["People", "Settings", "Connection"])


def test_what_is_written_without_a_connection_is_kept(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    session = sign_in(page)
    show(page, "Chat")
    box = page.get_by_label("Message to everybody here")
    box.fill("not lost")
    room.accepting = False
    room.drop(session)
    expect(page.locator("#notice")).to_contain_text("Reconnecting")
    box.press("Enter")
    expect(page.locator("#prompts")).to_contain_text("no connection")
    expect(box).to_have_value("not lost")
    room.accepting = True
    expect(page.locator("#notice")).to_be_hidden()  # no attempt is refused any more
    browser.complaints[:] = [text for text in browser.complaints if "WebSocket connection" not in text]


def test_files_come_down_and_go_only_for_who_may(browser: Browser, room: RoomServer) -> None:
    room.files = FILES
    page = browser.open(room.url)
    sign_in(page)
    show(page, "Files")
    expect(page.locator("#files-list li")).to_have_text(
        ["a&b 'c'.txt1.2 MB", "folderfolder", "<img src=x>3 B"]
    )
    link = page.get_by_role("link", name="a&b 'c'.txt")
    assert link.get_attribute("href") == f"{room.url}api/filetransfer?filename=a%26b+%27c%27.txt"
    expect(page.get_by_role("button", name="Upload files")).to_be_hidden()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    room.tell_all("filetransfer/update", {**FILES, "user_download": False, "user_delete": True})
    expect(page.get_by_role("link")).to_have_count(0)
    page.get_by_role("button", name="Delete a&b 'c'.txt").click()
    page.get_by_role("button", name="Delete it").click()
    wait_until(lambda: page.evaluate("1") and room.bodies, within=5, what="the server is told")
    assert room.bodies == [("DELETE filetransfer?filename=a%26b%20%27c%27.txt", None)]
    room.tell_all("filetransfer/update", {**FILES, "enabled": False, "files": None})
    expect(page.get_by_role("tab", name="Files")).to_be_hidden()


def test_files_go_up_by_button_and_by_dragging(browser: Browser, room: RoomServer) -> None:
    room.files = {**FILES, "user_upload": True}
    page = browser.open(room.url)
    sign_in(page)
    show(page, "Files")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files([TEXT | {"name": "a.txt"}, TEXT | {"name": "b.txt"}])
    expect(page.locator("#uploads")).to_contain_text("uploaded")
    wait_until(lambda: page.evaluate("1") and len(room.uploads) == 2, within=5, what="the files arrive")
    assert room.uploads[0] == ("filetransfer", {}, [("a.txt", b"content")])
    drag(page, "dropped.txt", 300, 500)
    wait_until(lambda: page.evaluate("1") and len(room.uploads) == 3, within=5, what="the file arrives")
    assert room.uploads[2] == ("filetransfer", {}, [("dropped.txt", b"content")])
    expect(page.locator("#drop-hint")).to_be_hidden()


def drag(page: Page, name: str, x: int, y: int) -> None:
    page.evaluate(
        """([name, clientX, clientY]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["content"], name));
          const target = document.elementFromPoint(clientX, clientY);
          const about = {dataTransfer, clientX, clientY, bubbles: true, cancelable: true};
          for (const kind of ["dragenter", "dragover", "drop"])
            target.dispatchEvent(new DragEvent(kind, about));
        }""",
        [name, x, y],
    )


@pytest.mark.parametrize("drops", [True, False])
def test_in_control_a_file_goes_to_the_place_it_is_dropped_on(
    browser: Browser, room: RoomServer, drops: bool
) -> None:
    room.drops = drops
    room.files = {**FILES, "user_upload": True}
    page = browser.open(room.url)
    sign_in(page)
    take_control(page)
    box = page.locator("#video").bounding_box()
    assert box is not None
    drag(page, "a.txt", int(box["x"] + box["width"] / 2), int(box["y"] + box["height"] / 2))
    wait_until(lambda: page.evaluate("1") and room.uploads, within=5, what="the file arrives")
    path, fields, files = room.uploads[0]
    assert files == [("a.txt", b"content")]
    if drops:
        assert (path, fields) == ("room/upload/drop", {"x": "640", "y": "360"})
    else:
        assert (path, fields) == ("filetransfer", {})
        browser.complaints[:] = [text for text in browser.complaints if "status of 400" not in text]


def test_the_shared_browser_asks_for_a_file(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    room.tell(mine, "file_chooser_dialog/opened", {"id": "somebody else"})
    room.tell(mine, "file_chooser_dialog/opened", {"id": mine})
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files([TEXT])
    wait_until(lambda: page.evaluate("1") and room.uploads, within=5, what="the file arrives")
    assert room.uploads == [("room/upload/dialog", {}, [("a.txt", b"content")])]
    room.tell(mine, "file_chooser_dialog/opened", {"id": mine})
    expect(page.get_by_text("asks for a file")).to_be_visible()
    room.tell(mine, "file_chooser_dialog/closed", {"id": ""})
    expect(page.get_by_text("asks for a file")).to_be_hidden()


def test_an_administrator_mutes_disconnects_and_signs_out(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page, "admin")
    bob = room.add_person("Bob")
    show(page, "People")
    page.get_by_label("More about Bob").click()
    page.get_by_role("button", name="Keep Bob from writing in the chat").click()
    expect(page.locator("#people-list li", has_text="Bob")).to_contain_text("muted")
    page.get_by_role("button", name="Let Bob write in the chat again").click()
    expect(page.locator("#people-list li", has_text="Bob")).not_to_contain_text("muted")
    page.get_by_role("button", name="Disconnect Bob").click()
    page.get_by_role("button", name="Sign Bob out").click()
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Sign Bob out").click()
    page.locator("#prompts").get_by_role("button", name="Sign out").click()
    wait_until(lambda: page.evaluate("1") and len(room.bodies) == 4, within=5, what="the server is told")
    assert room.bodies == [
        (f"POST members/{bob}", {"plugins": {"chat.can_send": False}}),
        (f"POST members/{bob}", {"plugins": {"chat.can_send": True}}),
        (f"POST sessions/{bob}/disconnect", None),
        (f"DELETE sessions/{bob}", None),
    ]


def test_an_administrator_sees_how_others_receive(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page, "admin")
    bob = room.add_person("Bob")
    show(page, "People")
    page.get_by_label("More about Bob").click()
    told = page.locator("#people-list li", has_text="Bob").locator(".reception")
    expect(told).to_have_text("Picture 720p: 2.5 Mbit/s, 1.2 % lost, 43 ms there and back")
    room.media = {**room.media, "paused": True}
    expect(told).to_have_text("Picture 720p: paused, the network cannot carry it.")
    room.tell_all("session/state", {"id": bob, "is_connected": True, "is_watching": False})
    expect(told).to_have_text("No picture is sent.")


def test_the_rules_of_the_room_are_set_by_administrators_alone(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page, "admin")
    show(page, "Settings")
    page.get_by_label("Only administrators may take control").check()
    page.get_by_label("Only administrators write in the chat").check()
    wait_until(lambda: page.evaluate("1") and len(room.bodies) == 2, within=5, what="the server is told")
    assert room.bodies == [
        ("POST room/settings", {"locked_controls": True}),
        ("POST room/settings", {"plugins": {"chat.can_send": False}}),
    ]
    room.update_settings(locked_controls=False, private_mode=True)
    expect(page.get_by_label("Only administrators may take control")).not_to_be_checked()
    expect(page.get_by_label("Only administrators see the picture")).to_be_checked()
    page.get_by_label("Screen size").select_option("1920 × 1080, 30 Hz")
    wait_until(lambda: page.evaluate("1") and room.said("screen/set"), within=5, what="the server is told")
    assert room.said("screen/set")[0]["payload"] == {"width": 1920, "height": 1080, "rate": 30}
    demoted = {**room.sessions[mine]["profile"], "is_admin": False}
    room.tell(mine, "session/profile", {"id": mine, **demoted})
    expect(page.locator("#room-settings")).to_be_hidden()


def test_an_administrator_broadcasts_the_room(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    sign_in(page, "admin")
    show(page, "Settings")
    section = page.get_by_role("region", name="Broadcast")
    expect(section).to_contain_text("The room is not broadcast.")
    section.get_by_label("Address to broadcast to").fill("rtmp://a/b")
    section.get_by_role("button", name="Start").click()
    expect(section).to_contain_text("The room is being broadcast.")
    section.get_by_role("button", name="Stop").click()
    expect(section).to_contain_text("The room is not broadcast.")
    assert room.bodies == [
        ("POST room/broadcast/start", {"url": "rtmp://a/b"}),
        ("POST room/broadcast/stop", None),
    ]


def test_the_connection_in_figures_and_the_choice_of_quality(browser: Browser, room: RoomServer) -> None:
    room.videos = ["high", "low"]
    room.quality = {"disabled": False, "id": "high", "video": "high", "auto": True}
    page = browser.open(room.url)
    session = sign_in(page)
    expect(page.locator("#connection-toggle")).to_have_attribute("title", "The connection is good.")
    page.get_by_role("button", name="The connection is good.").click()
    expect(page.locator("#figures dt")).to_have_text(
        ["Rate", "Lost packets", "Round trip", "Frames decoded", "Frames dropped", "Jitter buffer", "Picture"]
    )
    expect(page.locator("#figures dd").nth(0)).to_contain_text("bit/s")
    expect(page.locator("#figures dd").nth(2)).to_contain_text(" ms")
    expect(page.locator("#figures dd").nth(6)).to_contain_text("640 × 480, VP8")
    assert room.said("signal/request")[0]["payload"]["video"] == {"auto": True}
    page.get_by_label("Quality").select_option("low")
    expect(page.locator("#quality-now")).to_have_text("You get “low” now.")
    exact = {"auto": False, "selector": {"type": "exact", "id": "low"}}
    assert room.said("signal/video")[0]["payload"] == exact
    room.tell(session, "signal/close")
    wait_until(
        lambda: page.evaluate("1") and len(room.said("signal/request")) == 2, within=10, what="it asks anew"
    )
    assert room.said("signal/request")[1]["payload"]["video"] == exact
    room.accepting = False
    room.drop(session)
    expect(page.locator("#connection-verdict")).to_have_text("The connection is lost.")
    browser.complaints[:] = [text for text in browser.complaints if "WebSocket connection" not in text]


def test_a_picture_that_the_network_cannot_carry_says_so(browser: Browser, room: RoomServer) -> None:
    page = browser.open(room.url)
    mine = sign_in(page)
    room.tell(mine, "signal/video", {**room.quality, "paused": True})
    expect(page.locator("#bar-sentence")).to_have_text("The picture is paused: your network cannot carry it.")
    room.tell(mine, "signal/video", {**room.quality, "paused": False})
    expect(page.locator("#bar-sentence")).to_have_text("Watching. Nobody is in control.")


def test_where_the_others_point(browser: Browser, room: RoomServer) -> None:
    room.settings["inactive_cursors"] = True
    page = browser.open(room.url)
    mine = sign_in(page)
    bob = room.add_person("<b>Bob</b>")
    points = [{"x": 1, "y": 1}, {"x": 640, "y": 360}]
    for cursors in ([{"id": bob, "cursors": points}, {"id": mine, "cursors": points}], []):
        room.tell(mine, "session/cursors", cursors)
    expect(page.locator(".pointer")).to_have_text(["<b>Bob</b>"])
    box = page.locator("#video").bounding_box()
    assert box is not None
    page.wait_for_function(
        """([x, y]) => {
          const at = document.querySelector(".pointer").getBoundingClientRect();
          return Math.abs(at.x - x) < 2 && Math.abs(at.y - y) < 2;
        }""",
        arg=[box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
    )
    room.set_controller(bob, bob)
    expect(page.locator(".pointer")).to_have_count(0)


CONTRAST = """() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (part) => {
    for (let at = part; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = parse(color);
      if (color.startsWith("rgb") && alpha === 1) return parse(color);
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const part of document.querySelectorAll("body *")) {
    const own = [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !part.checkVisibility() || part.closest(".unseen, :disabled")) continue;
    const [a, b] = [light(parse(getComputedStyle(part).color)), light(ground(part))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) bad.push(`${part.outerHTML.slice(0, 80)}: ${contrast.toFixed(2)}`);
  }
  return bad;
}"""
UNNAMED = """() => [...document.querySelectorAll('button, input, textarea, select, summary, a')]
  .filter((part) => part.checkVisibility() && !part.labels?.length && !part.ariaLabel)
  .filter((part) => !part.textContent.trim())
  .map((part) => part.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(browser: Browser, room: RoomServer, scheme: Any) -> None:
    room.files = {**FILES, "user_upload": True}
    page = browser.open(room.url)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate(CONTRAST) == []
    mine = sign_in(page, "admin")
    bob = room.add_person("Bob")
    room.set_controller(bob, bob)
    room.tell(mine, "chat/message", {"id": bob, "created": "2026-01-02T03:04:05Z", "content": {"text": "hi"}})
    room.tell(mine, "control/request", {"id": bob})
    for tab in ("People", "Chat", "Files", "Settings", "Connection"):
        show(page, tab)
        assert page.evaluate(CONTRAST) == [], tab
        assert page.evaluate(UNNAMED) == [], tab
    assert page.evaluate("document.getAnimations().length") == 0
    room.dismiss(mine, "session disconnected")
    page.get_by_role("button", name="Connect again").wait_for()
    assert page.evaluate(CONTRAST) == []
