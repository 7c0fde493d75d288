"""Files to and from the machine of the shared browser. `README.md` says how it is built."""

from plugins.filetransfer.filetransfer_plugin import FileTransferPlugin as plugin  # noqa: N813 - what plugins are found by

__all__ = ["plugin"]
