"""Messages among the people in the room. `README.md` says how it is built."""

from plugins.chat.chat_plugin import ChatPlugin as plugin  # noqa: N813 - what plugins are found by

__all__ = ["plugin"]
