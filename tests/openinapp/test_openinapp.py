"""Links to the shared screen: who may send which, and what is started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugins.openinapp import plugin
from plugins.openinapp.link import BadLink, check_link
from plugins.openinapp.openinapp_plugin import MOST_LINKS
from plugins.openinapp.settings import OpenInAppSettings
from streamserver.plugins.contract import DesktopError
from tests.plugins.hosting import Hosted, Person, hosting

PAGE = "https://example.org/a?b=c"
LINK = "/api/openinapp/openlink"


class Screen:
    """A shared screen on which nothing happens."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.pages: list[str] = []
        self.programs: list[list[str]] = []

    async def open_page(self, url: str) -> None:
        if self.trouble:
            raise DesktopError(self.trouble)
        self.pages.append(url)

    async def run_program(self, command: Sequence[str]) -> None:
        self.programs.append(list(command))


def opening(run_dir: Path, screen: Screen, **settings: Any) -> Any:
    chosen = OpenInAppSettings.model_validate({"enabled": True, **settings})
    return hosting(plugin(), chosen, run_dir, desktop=screen)


async def post(room: Hosted, who: Person, text: object) -> tuple[int, Any]:
    async with room.server.client(who.token) as client:
        answer = await client.post(LINK, json={"text": text})
        return answer.status_code, answer.json()


async def test_whoever_is_in_control_opens_a_link_in_a_tab(tmp_path: Path) -> None:
    screen = Screen()
    async with opening(tmp_path, screen) as room:
        ann, ada = await room.join("ann"), await room.join("ada", admin=True)
        assert await ann.hear("openinapp/init") == {"enabled": True}
        refused = {"code": 403, "message": "only the host can open links"}
        assert await post(room, ann, PAGE) == (403, refused)
        await ann.send("control/request")
        await ann.hear("control/host")
        assert await post(room, ann, f" {PAGE}\n") == (200, None)
        assert await post(room, ada, PAGE) == (403, refused)
        room.server.sessions.update_room(None, implicit_hosting=True)
        assert await post(room, ada, PAGE) == (200, None)
        assert (screen.pages, screen.programs) == ([PAGE, PAGE], [])


async def test_a_command_gets_the_link_as_its_last_argument(tmp_path: Path) -> None:
    screen = Screen()
    async with opening(tmp_path, screen, open_command="player --mode 'full screen'") as room:
        room.server.sessions.update_room(None, implicit_hosting=True)
        ann = await room.join("ann")
        assert await post(room, ann, "https://example.org/$(id);`id`&") == (200, None)
        assert screen.programs == [["player", "--mode", "full screen", "https://example.org/$(id);`id`&"]]


async def test_off_unknown_links_too_many_and_a_screen_that_cannot(tmp_path: Path) -> None:
    async with opening(tmp_path, Screen(), enabled=False) as room:
        ann = await room.join("ann")
        assert await ann.hear("openinapp/init") == {"enabled": False}
        assert await post(room, ann, PAGE) == (403, {"code": 403, "message": "openinapp is disabled"})
    screen = Screen(trouble="the browser is not there")
    async with opening(tmp_path, screen) as room:
        room.server.sessions.update_room(None, implicit_hosting=True)
        ann = await room.join("ann")
        status, answer = await post(room, ann, "file:///etc/passwd")
        assert (status, answer["message"]) == (400, "URL must use http or https scheme")
        assert (await post(room, ann, 5))[0] == 400
        for _ in range(MOST_LINKS):
            assert await post(room, ann, PAGE) == (503, {"code": 503, "message": screen.trouble})
        assert (await post(room, ann, PAGE))[0] == 429


@pytest.mark.parametrize(
    "text",
    ["", "example.org", "ftp://example.org", "javascript:alert(1)", "file:///x", "http://", "https:///x",
     "http://a b/", "http://a/\0", "http://a/\x1b[2J", "http://[", "--version", "http://a/" + "x" * 3000],
)  # fmt: skip
def test_no_links(text: str) -> None:
    with pytest.raises(BadLink):
        check_link(text)


@given(st.text(max_size=80) | st.text(max_size=60).map("http://".__add__))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    try:
        link = check_link(text)
    except BadLink:
        return
    assert link.lower().startswith(("http://", "https://"))
    assert link.isprintable()


def test_a_command_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="No closing quotation"):
        OpenInAppSettings(open_command="player 'x")
