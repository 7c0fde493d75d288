"""The settings of the file transfer: section `filetransfer`."""

import pwd
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from streamserver.config.section import Section
from streamserver.config.types import ByteSize, DefaultText, Duration, RequiredPath

BROWSER_USER = "catnap"
"""Whose downloads are shared unless the settings say otherwise."""


def default_directory() -> Path:
    """Return where the shared browser keeps what it downloads."""
    try:
        home = Path(pwd.getpwnam(BROWSER_USER).pw_dir)
    except KeyError:
        home = Path.home()
    return home / "Downloads"


class FileTransferSettings(Section):
    """Files to and from the machine of the shared browser, in one directory."""

    enabled: bool = False
    """Whether there is a file transfer at all."""
    dir: Annotated[
        RequiredPath, DefaultText("Downloads in the home of the user catnap; without one in our own")
    ] = Field(default_factory=default_directory)
    """The directory whose files are listed, sent and received; made when it is absent. Not those below it."""
    refresh_interval: Annotated[Duration, Le(86_400)] = 30.0
    """How often the list is read again while somebody is connected, besides at changes; 0 for never."""
    user_download: bool = False
    """Whether those who are not admins may download."""
    user_upload: bool = False
    """Whether those who are not admins may upload."""
    user_delete: bool = False
    """Whether those who are not admins may delete."""
    max_upload: Annotated[ByteSize, Ge(1024), Le(1024**4)] = 1024**3
    """Largest upload; a larger one is refused, and nothing is left of the file it broke off in."""
