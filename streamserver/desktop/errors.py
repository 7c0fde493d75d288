"""What can go wrong with the desktop."""


class DesktopError(Exception):
    """The desktop cannot do what was asked; the message names the thing, what was found and the way out."""


class ScreenRefused(DesktopError):  # noqa: N818 - the name says what happened, as callers read it
    """The X server does not take that screen size."""
