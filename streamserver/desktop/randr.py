"""Screen size and rate by the RandR extension (its protocol text, 1.5); blocking, some round trips."""

from dataclasses import dataclass

import xcffib
import xcffib.randr
import xcffib.xproto

from streamserver.config.types import ScreenSize
from streamserver.desktop.errors import ScreenRefused

_DPI = 96
_CURRENT_TIME = 0
_ROTATE_0 = 1
_CONNECTED = 0
_MODE_PREFIX = b"catnap-"

STANDARD_SIDES = (
    (800, 600), (1024, 768), (1152, 648), (1280, 720), (1280, 960), (1366, 768), (1368, 768), (1440, 900),
    (1600, 900), (1680, 1050), (1920, 1080), (1920, 1200), (2560, 1440), (2560, 1600), (3840, 2160),
)  # fmt: skip
"""Widths and heights offered, in px."""
STANDARD_RATES = (25, 30, 60)
"""Rates offered, in frames per second."""
LARGEST_RATE = 240
"""Frames per second that nobody's screen goes beyond; the protocol would take any number of 32 bits."""
SMALLEST_SIDE = 128
"""Px; a screen that an encoder refuses would be a picture for nobody, and no page fits a smaller one."""


def configurations(largest: ScreenSize) -> list[ScreenSize]:
    """Return the sizes to offer, smallest first: those that fit, and the largest one itself."""
    sides = {(width, height) for width, height in STANDARD_SIDES if width % 8 == 0}
    sides.add((largest.width - largest.width % 8, largest.height))
    return [
        ScreenSize(width, height, rate)
        for width, height in sorted(sides)
        if width <= largest.width and height <= largest.height
        for rate in STANDARD_RATES
    ]


@dataclass(frozen=True, slots=True)
class _Output:
    output: int
    crtc: int
    modes: dict[int, tuple[int, int, int]]
    own_modes: frozenset[int]


class Screen:
    """The screen of one connection."""

    def __init__(self, connection: xcffib.Connection) -> None:
        """Take a connection whose server has RandR 1.3 or later."""
        self._connection = connection
        self._randr = connection(xcffib.randr.key)
        self._core = xcffib.xproto.xprotoExtension(connection)
        self._root = connection.get_setup().roots[connection.pref_screen].root
        self._randr.QueryVersion(1, 4).reply()

    def size(self) -> tuple[int, int]:
        """Return width and height now, in px."""
        geometry = self._core.GetGeometry(self._root).reply()
        return geometry.width, geometry.height

    def largest(self) -> tuple[int, int]:
        """Return the largest width and height the server can have, in px."""
        limits = self._randr.GetScreenSizeRange(self._root).reply()
        return limits.max_width, limits.max_height

    def set(self, wanted: ScreenSize) -> ScreenSize:
        """Change size and rate; return what it is now (width a multiple of 8, rate 0 became 60).

        Raises:
            ScreenRefused: the server cannot have that size.
        """
        size = ScreenSize(wanted.width - wanted.width % 8, wanted.height, wanted.rate or 60)
        if not 0 < size.rate <= LARGEST_RATE:
            raise ScreenRefused(
                f"the screen cannot be {wanted}: rates go from 1 to {LARGEST_RATE} per second"
            )
        width, height = self.largest()
        if not (SMALLEST_SIDE <= size.width <= width and SMALLEST_SIDE <= size.height <= height):
            raise ScreenRefused(
                f"the screen cannot be {wanted}: this X server goes from {SMALLEST_SIDE}x{SMALLEST_SIDE} "
                f"to {width}x{height} (desktop.max_screen of a server that we start)"
            )
        try:
            self._apply(size)
        except xcffib.ProtocolException as error:
            raise ScreenRefused(f"the X server refused the screen size {size}: {error!r}") from error
        return size

    def _apply(self, size: ScreenSize) -> None:
        output = self._output()
        mode = self._mode(output, size)
        self._core.GrabServer()
        try:
            # the screen may never be smaller than what a CRTC shows
            before = self._randr.GetCrtcInfo(output.crtc, _CURRENT_TIME).reply().mode
            self._set_crtc(output, 0)
            try:
                self._resize_root(size)
            except xcffib.ProtocolException:
                self._set_crtc(output, before)
                raise
            self._set_crtc(output, mode)
        finally:
            self._core.UngrabServer()
            self._connection.flush()
        self._forget_modes(output, keep=mode)

    def _output(self) -> _Output:
        resources = self._randr.GetScreenResourcesCurrent(self._root).reply()
        names = bytes(resources.names)
        modes: dict[int, tuple[int, int, int]] = {}
        own = set()
        position = 0
        for info in resources.modes:
            name = names[position : position + info.name_len]
            position += info.name_len
            total = info.htotal * info.vtotal
            modes[info.id] = (info.width, info.height, round(info.dot_clock / total) if total else 0)
            if name.startswith(_MODE_PREFIX):
                own.add(info.id)
        for output in resources.outputs:
            found = self._randr.GetOutputInfo(output, _CURRENT_TIME).reply()
            if found.connection == _CONNECTED and (found.crtc or found.crtcs):
                listed = {mode: modes[mode] for mode in found.modes if mode in modes}
                return _Output(output, found.crtc or found.crtcs[0], listed, frozenset(own))
        raise ScreenRefused("the X server has no connected output whose size could be changed")

    def _mode(self, output: _Output, size: ScreenSize) -> int:
        for mode, shown in output.modes.items():
            if shown == (size.width, size.height, size.rate):
                return mode
        name = _MODE_PREFIX + str(size).encode()
        clock = min(size.width * size.height * size.rate, 0xFFFFFFFF)
        info = xcffib.randr.ModeInfo.synthetic(
            0, size.width, size.height, clock,
            size.width, size.width, size.width, 0, size.height, size.height, size.height, len(name), 0,
        )  # fmt: skip
        created: int = self._randr.CreateMode(self._root, info, len(name), name).reply().mode
        self._randr.AddOutputMode(output.output, created, is_checked=True).check()
        return created

    def _resize_root(self, size: ScreenSize) -> None:
        millimetres = (round(size.width * 25.4 / _DPI), round(size.height * 25.4 / _DPI))
        self._randr.SetScreenSize(self._root, size.width, size.height, *millimetres, is_checked=True).check()

    def _set_crtc(self, output: _Output, mode: int) -> None:
        outputs = [output.output] if mode else []
        reply = self._randr.SetCrtcConfig(
            output.crtc, _CURRENT_TIME, _CURRENT_TIME, 0, 0, mode, _ROTATE_0, len(outputs), outputs
        ).reply()
        if reply.status:
            raise ScreenRefused(f"the X server refused the screen mode (RandR status {reply.status})")

    def _forget_modes(self, output: _Output, keep: int) -> None:
        """Remove the modes of ours that are not shown, so that changing sizes for months leaves nothing."""
        for mode in output.own_modes - {keep}:
            self._randr.DeleteOutputMode(output.output, mode)
            self._randr.DestroyMode(mode)
        self._connection.flush()
