"""The gate: tells the platform when this machine may sleep. `README.md` says how it is built."""

from plugins.scaletozero.scale_to_zero_plugin import ScaleToZeroPlugin as plugin  # noqa: N813 - the name plugins are found by

__all__ = ["plugin"]
