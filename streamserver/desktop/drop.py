"""Dropping files on a page, as if they were dragged there."""

from collections.abc import Sequence
from pathlib import Path

from streamserver.desktop.devtools import DevToolsError
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.pages import Pages

_COPY = 1
"""The only thing that may become of the files (CDP, Input.DragData)."""


class DropError(DesktopError):
    """The files cannot be dropped there; the message says why."""


async def drop(pages: Pages, files: Sequence[Path], x: int, y: int) -> None:
    """Drop files on what is at this point of the screen, in px.

    Raises:
        DropError: no page is there, or it hangs.
    """
    spot = await pages.at(x, y)
    if spot is None:
        raise DropError(f"there is no page at {x}, {y} to drop files on")
    data = {"items": [], "files": [str(path) for path in files], "dragOperationsMask": _COPY}
    try:
        for kind in ("dragEnter", "dragOver", "drop"):
            await pages.devtools.call(
                "Input.dispatchDragEvent", spot.session, type=kind, x=spot.x, y=spot.y, data=data
            )
    except DevToolsError as error:
        raise DropError(f"the page does not take the files: {error}") from error
