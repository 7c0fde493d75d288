"""What a person does on the page, in their words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

import playwright.async_api
from playwright.async_api import expect

from tests.waiting import POLL_INTERVAL

from .card import Card, error_of

LOUDEST = """async () => {
    const context = globalThis.listening ??= new AudioContext();
    await context.resume();
    if (!context.analyser) {
        context.analyser = new AnalyserNode(context, {fftSize: 4096, smoothingTimeConstant: 0});
        context.createMediaStreamSource(document.querySelector('video').srcObject).connect(context.analyser);
    }
    const levels = new Float32Array(context.analyser.frequencyBinCount);
    context.analyser.getFloatFrequencyData(levels);
    const loudest = levels.indexOf(Math.max(...levels));
    return levels[loudest] < -60 ? 0 : loudest * context.sampleRate / context.analyser.fftSize;
}"""
"""The frequency, Hz, of the loudest part of the sound that arrives; 0 for silence."""

SAME = 8.0
"""Mean absolute error, of 255, below which two pictures count as the same."""

SEES_PICTURE = """() => {
    const video = document.querySelector('video');
    return video.videoWidth > 0 && !video.paused && video.checkVisibility()
        && !document.querySelector('#notice').checkVisibility();
}"""


class Page:
    """The page in one tab."""

    def __init__(self, tab: playwright.async_api.Page) -> None:
        self.tab = tab
        self.errors: list[str] = []
        tab.on("console", self._keep)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))

    def _keep(self, message: playwright.async_api.ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    @classmethod
    async def open(cls, tab: playwright.async_api.Page, url: str) -> Self:
        """Go to the page's address."""
        page = cls(tab)
        await tab.goto(url)
        return page

    async def sign_in(self, name: str, password: str) -> None:
        """Fill the form in and send it."""
        await self.tab.get_by_label("Your name").fill(name)
        await self.tab.get_by_label("Password").fill(password)
        await self.tab.get_by_role("button", name="Sign in").click()

    async def sees_picture(self, within: float = 15) -> None:
        """Wait until the picture is there and nothing covers it."""
        await self.tab.wait_for_function(SEES_PICTURE, timeout=within * 1000, polling=POLL_INTERVAL * 1000)

    async def sees_size(self, width: int, height: int, within: float = 15) -> None:
        """Wait until the picture is so large and nothing covers it."""
        sized = "size => { const video = document.querySelector('video');"
        sized += " return video.videoWidth == size[0] && video.videoHeight == size[1]; }"
        await self.tab.wait_for_function(sized, arg=[width, height], timeout=within * 1000, polling=100)
        await self.sees_picture(within)

    async def sees_card(self, card: Card, within: float = 10) -> None:
        """Wait until the picture is the card, less than 8/255 off on the average."""
        await self._picture(lambda error: error < SAME, card, within)

    async def sees_something_else(self, card: Card, within: float = 10) -> None:
        """Wait until the picture is not the card any more."""
        await self._picture(lambda error: error >= SAME, card, within)

    async def _picture(self, fits: Callable[[float], bool], card: Card, within: float) -> None:
        deadline = time.monotonic() + within
        while not fits(error := await error_of(self.tab, card)):
            assert time.monotonic() < deadline, f"after {within} s the picture is {error:.1f}/255 off"
            await asyncio.sleep(POLL_INTERVAL)

    async def hears(self, frequency: float, within: float = 15) -> None:
        """Wait until the loudest sound has a frequency in Hz, a twentieth more or less; 0: silence."""
        deadline = time.monotonic() + within
        while abs((heard := await self.tab.evaluate(LOUDEST)) - frequency) > frequency / 20:
            assert time.monotonic() < deadline, f"after {within} s the loudest sound is at {heard} Hz"
            await asyncio.sleep(POLL_INTERVAL)

    async def reads(self, sentence: str, within: float = 10) -> None:
        """Wait until the page shows a sentence."""
        await expect(self.tab.get_by_text(sentence).first).to_be_visible(timeout=within * 1000)

    async def press(self, name: str) -> None:
        """Press a button by its name."""
        await self.tab.get_by_role("button", name=name).first.click()

    async def take_control(self) -> None:
        """Take control and wait until it is ours: what is typed before is typed into nothing."""
        await self.press("Take control")
        await self.reads("You are in control")

    async def point(self, x: float, y: float, screen: tuple[int, int] = (1280, 720)) -> tuple[float, float]:
        """Return where in the tab the shared screen's pixel (x, y) is shown."""
        box = await self.tab.locator("#video").bounding_box()
        assert box is not None
        scale = min(box["width"] / screen[0], box["height"] / screen[1])
        left = box["x"] + (box["width"] - screen[0] * scale) / 2
        top = box["y"] + (box["height"] - screen[1] * scale) / 2
        return left + x * scale, top + y * scale

    async def click_at(self, x: float, y: float) -> None:
        """Click on a pixel of the shared screen."""
        await self.tab.mouse.click(*await self.point(x, y))
