"""The settings of the links: section `openinapp`."""

import shlex
from typing import Annotated

from pydantic import AfterValidator

from streamserver.config.section import Section


def _splits(command: str) -> str:
    try:
        shlex.split(command)
    except ValueError as error:
        raise ValueError(f"it is no command: {error}") from error
    return command


class OpenInAppSettings(Section):
    """Links that whoever is in control sends to the shared screen."""

    enabled: bool = False
    """Whether links may be sent."""
    open_command: Annotated[str, AfterValidator(_splits)] = ""
    """Program, with arguments if need be, that gets the link as its last argument, such as `xdg-open`. It
    runs as `browser.user`, without a shell. Empty: a link is opened in a new tab of the shared browser."""

    @property
    def words(self) -> list[str]:
        """The command word by word; empty for a tab."""
        return shlex.split(self.open_command)
