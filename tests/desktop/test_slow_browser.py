"""A browser that does not answer in time."""

from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from streamserver.config.settings import BrowserSettings, DesktopSettings
from streamserver.desktop.desktop import Desktop
from streamserver.desktop.devtools import DevToolsError
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.pages import Pages


class SlowPages:
    """The pages of a browser that answers the second time."""

    def __init__(self) -> None:
        self.asked = 0
        self.opened: list[tuple[str, str]] = []
        self.devtools = self

    async def attach(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise DevToolsError("the browser did not answer")

    async def call(self, method: str, /, **parameters: str) -> None:
        self.opened.append((method, parameters["url"]))


async def test_it_is_asked_again(tmp_path: Path) -> None:
    desktop = Desktop(DesktopSettings(), BrowserSettings(), tmp_path, CollectorRegistry())
    with pytest.raises(DesktopError, match="the browser is not there"):
        await desktop.open_page("http://example.org")
    pages = SlowPages()
    await desktop._attach(cast("Pages", pages))
    await desktop.open_page("http://example.org")
    assert (pages.asked, pages.opened) == (2, [("Target.createTarget", "http://example.org")])
