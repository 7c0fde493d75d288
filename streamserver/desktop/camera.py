"""The browser's camera: a viewer's pictures, written to a Video4Linux device that pages take for one."""

import contextlib
import os
from pathlib import Path

from streamserver.desktop import v4l2


class Pictures:
    """Somebody who shows themselves: planar YUV 4:2:0 pictures of the camera's size."""

    def __init__(self, descriptor: int) -> None:
        """Use `Camera.open`."""
        self._descriptor = descriptor

    def write(self, picture: bytes) -> None:
        """Show a picture. Never waits; what the device does not take at once is left out."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._descriptor, picture)

    def close(self) -> None:
        """Show nothing any more."""
        os.close(self._descriptor)


class Camera:
    """Where viewers can be seen by pages.

    Attributes:
        width, height: what pages see, px; even numbers.
    """

    def __init__(self, device: Path, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._device = device

    def why_not(self) -> str:
        """Return why nobody can be seen, in a sentence; empty when somebody can."""
        return v4l2.why_not(self._device)

    def open(self) -> Pictures:
        """Begin to show.

        Raises:
            DesktopError: the device is gone, in use or refuses the size.
        """
        return Pictures(v4l2.open_output(self._device, self.width, self.height))
