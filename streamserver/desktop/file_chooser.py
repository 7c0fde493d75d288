"""The dialog with which a page asks for files: viewers answer it with files of their own."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamserver.desktop.devtools import DevToolsError, Json
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.pages import Pages
from streamserver.logs import get_logger
from streamserver.signals import Signal

_CANCEL = "function () { this.dispatchEvent(new Event('cancel', {bubbles: true})); }"

log = get_logger("desktop")


class ChooserError(DesktopError):
    """No dialog is open, or the page does not take the files."""


@dataclass(frozen=True, slots=True)
class _Question:
    session: str
    node: int
    several: bool


class FileChooser:
    """Keeps the browser from opening dialogs of its own, and answers for it.

    Attributes:
        on_changed: told whether a dialog is open, at each change.
    """

    def __init__(self) -> None:
        self.on_changed: Signal[[bool]] = Signal("file chooser changed")
        self._pages: Pages | None = None
        self._question: _Question | None = None

    @property
    def is_open(self) -> bool:
        """Whether a page waits for files."""
        return self._question is not None

    def follow(self, pages: Pages) -> None:
        """Answer for the pages of this browser."""
        self._set(None)
        self._pages = pages
        pages.on_page = self._intercept
        pages.on_event = self._event

    def leave(self) -> None:
        """Forget the browser, which is gone."""
        self._pages = None
        self._set(None)

    async def choose(self, files: Sequence[Path]) -> None:
        """Answer with these files; a page that takes one file gets the first.

        Raises:
            ChooserError: no dialog is open, or the page does not take them.
        """
        question, pages = self._open()
        chosen = [str(path) for path in files[: None if question.several else 1]]
        try:
            await pages.devtools.call(
                "DOM.setFileInputFiles", question.session, files=chosen, backendNodeId=question.node
            )
        except DevToolsError as error:
            raise ChooserError(f"the page does not take the files: {error}") from error
        finally:
            if self._question is question:
                self._set(None)

    async def cancel(self) -> None:
        """Answer with nothing, as closing the dialog would.

        Raises:
            ChooserError: no dialog is open.
        """
        question, pages = self._open()
        self._set(None)
        with contextlib.suppress(DevToolsError, KeyError):
            tools, session = pages.devtools, question.session
            found = await tools.call("DOM.resolveNode", session, backendNodeId=question.node)
            element = found["object"]["objectId"]
            await tools.call("Runtime.callFunctionOn", session, objectId=element, functionDeclaration=_CANCEL)

    def _open(self) -> tuple[_Question, Pages]:
        if self._question is None or self._pages is None:
            raise ChooserError("file chooser dialog is not open")
        return self._question, self._pages

    async def _intercept(self, session: str) -> None:
        assert self._pages is not None
        await self._pages.devtools.call("Page.enable", session)
        await self._pages.devtools.call("DOM.enable", session)
        await self._pages.devtools.call("Page.setInterceptFileChooserDialog", session, enabled=True)

    def _event(self, method: str, parameters: Json, session: str) -> None:
        if method == "Page.fileChooserOpened":
            node = parameters.get("backendNodeId")
            if isinstance(node, int):
                self._set(_Question(session, node, parameters.get("mode") == "selectMultiple"))
        elif self._question is not None and session == self._question.session:
            gone = method == "Target.detachedFromTarget"
            if gone or (method == "Page.frameNavigated" and "parentId" not in parameters.get("frame", {})):
                self._set(None)

    def _set(self, question: _Question | None) -> None:
        was, self._question = self._question, question
        if question is not None or was is not None:
            self.on_changed.emit(question is not None)
