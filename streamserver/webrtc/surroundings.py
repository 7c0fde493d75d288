"""What this room needs of the desktop and of capture: the rooms fit these, and so do stand-ins in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from streamserver.capture.stream import MediaStream


class InputLike(Protocol):
    """Mouse and keyboard of the desktop; see `streamserver.desktop.input`."""

    def move(self, x: int, y: int) -> None:
        """Put the pointer there (px)."""

    def scroll(self, dx: int, dy: int, control_key: bool = False) -> None:
        """Turn the wheel."""

    def button_down(self, code: int) -> None:
        """Press a mouse button."""

    def button_up(self, code: int) -> None:
        """Release a mouse button."""

    def key_down(self, keysym: int) -> None:
        """Press a key."""

    def key_up(self, keysym: int) -> None:
        """Release a key."""


class TouchLike(Protocol):
    """Fingers on the desktop; see `streamserver.desktop.touch`."""

    def begin(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Put a finger down (px)."""

    def update(self, finger: int, x: int, y: int, pressure: int = 255, /) -> None:
        """Move a finger."""

    def end(self, finger: int, x: int = 0, y: int = 0, /) -> None:
        """Lift a finger."""


class CursorImageLike(Protocol):
    """What the pointer looks like."""

    @property
    def width(self) -> int:
        """Width in px."""

    @property
    def height(self) -> int:
        """Height in px."""

    @property
    def hotspot_x(self) -> int:
        """Hot spot in px from the left."""

    @property
    def hotspot_y(self) -> int:
        """Hot spot in px from the top."""

    @property
    def png(self) -> bytes:
        """The picture as PNG."""


class CursorSignal(Protocol):
    """Tells of every new look of the pointer."""

    def subscribe(self, listener: Callable[[CursorImageLike], object], /) -> Callable[[], None]:
        """Call the listener each time; the returned function ends that."""


class DesktopLike(Protocol):
    """The desktop; see `streamserver.desktop.desktop`."""

    @property
    def input(self) -> InputLike:
        """Mouse and keyboard."""

    @property
    def touch(self) -> TouchLike:
        """Fingers."""

    @property
    def cursor_image(self) -> CursorImageLike | None:
        """The pointer's look now, if known."""

    @property
    def on_cursor_image(self) -> CursorSignal:
        """Emitted when the look changes."""

    def cursor_position(self) -> tuple[int, int]:
        """Return where the pointer is (px)."""


class CaptureLike(Protocol):
    """The streams there are; see `streamserver.capture.capture`."""

    @property
    def videos(self) -> Mapping[str, MediaStream]:
        """Every video stream, by id."""

    @property
    def video_ids(self) -> Sequence[str]:
        """The ids of those to choose among, best first."""

    @property
    def audio(self) -> MediaStream | None:
        """The sound of the desktop."""
