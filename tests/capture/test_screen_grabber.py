import ctypes
import os
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from streamserver.capture.errors import ScreenLostError
from streamserver.capture.rows import Rows
from streamserver.capture.screen_grabber import ScreenGrabber
from streamserver.desktop.account import lookup
from tests.capture.x_screen import Card, XScreen, x_screen
from tests.waiting import wait_until


@pytest.fixture
def grabber(screen: XScreen) -> Iterator[ScreenGrabber]:
    with closing(ScreenGrabber(screen.display)) as one:
        one.read()
        yield one


def pixels(grabber: ScreenGrabber) -> Card:
    """What it holds, height x width x RGB."""
    data = ctypes.string_at(grabber.address, grabber.stride * grabber.height)
    return np.frombuffer(data, np.uint8).reshape(grabber.height, grabber.width, 4)[:, :, 2::-1]


def changed(grabber: ScreenGrabber) -> list[Rows]:
    wait_until(grabber.poll, within=5, what="the X server tells of a change")
    return grabber.read()


def test_it_holds_exactly_what_is_on_the_screen(screen: XScreen, grabber: ScreenGrabber) -> None:
    card = screen.draw_card(seed=1)
    changed(grabber)
    assert np.array_equal(pixels(grabber), card)


def test_only_the_damaged_rows_are_read(screen: XScreen, grabber: ScreenGrabber) -> None:
    before = grabber.rows_read
    screen.fill(10, 101, 50, 20, 0xFF8844)
    assert changed(grabber) == [Rows(100, 22)]
    screen.fill_unseen(0, 0, 10, 2, 0x00FF00)
    screen.fill(600, 470, 40, 10, 0x0000FF)
    assert changed(grabber) == [Rows(0, 2), Rows(470, 10)]
    assert grabber.rows_read - before == 22 + 2 + 10
    assert tuple(pixels(grabber)[101, 10]) == (0xFF, 0x88, 0x44)
    assert not grabber.poll()


def test_windows_of_programs_count(screen: XScreen, grabber: ScreenGrabber) -> None:
    screen.child_window(32, 48, 100, 60, 0x112233)
    assert changed(grabber) == [Rows(48, 60)]
    assert tuple(pixels(grabber)[50, 40]) == (0x11, 0x22, 0x33)


def test_it_follows_the_screens_size(screen: XScreen, grabber: ScreenGrabber) -> None:
    for width, height in ((800, 600), (641, 481), (320, 240)):
        screen.resize(width, height)
        card = screen.draw_card(seed=width)
        wait_until(grabber.poll, within=5, what="the X server tells of the new size")
        while grabber.poll():
            grabber.read()
        assert (grabber.width, grabber.height) == (width, height)
        # The last row of an odd height is not kept: 4:2:0 has no place for it.
        assert np.array_equal(pixels(grabber)[: height & ~1], card[: height & ~1])


def test_a_server_that_is_gone_is_an_error_not_a_hang(screen: XScreen, grabber: ScreenGrabber) -> None:
    screen.kill()
    with pytest.raises(Exception, match=r"(?i)connection|xcb"):  # noqa: PT012 - whichever comes first
        grabber.poll()
        grabber.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start the X server as somebody else")
def test_an_x_server_of_another_user_may_map_the_memory() -> None:
    with x_screen(owner=lookup("catnap")) as screen, closing(ScreenGrabber(screen.display)) as grabber:
        card = screen.draw_card(seed=3)
        changed(grabber)
        assert np.array_equal(pixels(grabber), card)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start the X server as somebody else")
def test_memory_the_x_server_may_not_map_is_an_error_that_says_so() -> None:
    with x_screen(owner=lookup("catnap")) as screen:
        ownerless = type(screen.display)(screen.display.name, None, None)
        with pytest.raises(ScreenLostError, match="may not map our memory"):
            ScreenGrabber(ownerless)
