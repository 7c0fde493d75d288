"""Links that the person in control sends to the shared screen. `README.md` says how it is built."""

from plugins.openinapp.openinapp_plugin import OpenInAppPlugin as plugin  # noqa: N813 - what plugins are found by

__all__ = ["plugin"]
