"""The gate: tells the platform when this machine may sleep. `README.md` says how it is built.

`plugin` is loaded when it is asked for, so that the command line of the gate starts without the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin as plugin  # noqa: N813 - what plugins are found by

__all__ = ["plugin"]


def __getattr__(name: str) -> object:
    if name == "plugin":
        from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin

        return ScaleToZeroPlugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
