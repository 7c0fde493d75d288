"""Messages on the data channel of version 2, little-endian: each is refused or acted on.

An input is a number of messages, each behind a byte that says its length.
"""

from __future__ import annotations

import struct

from streamserver.config.settings import SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.webrtc.legacy_channel import LegacyChannel
from tests.fuzzing.targets.data_channel import Channel, joined, split
from tests.webrtc.room import DeskStandIn

MAX_LENGTH = 512
INSTRUMENTED = ("streamserver.webrtc.legacy_channel",)


class LegacyChannelTarget:
    """A viewer of version 2 that may control."""

    def __init__(self) -> None:
        self._sessions = SessionManager(SessionSettings())
        self._session = self._sessions.create("ann", MemberProfile(name="ann", can_host=True))[0]

    def feed(self, data: bytes) -> None:
        desktop, channel = DeskStandIn(), Channel()
        legacy = LegacyChannel(
            channel,  # type: ignore[arg-type]
            self._session,
            desktop,
            lambda _session: True,
            lambda _session, _x, _y: None,
        )
        messages = split(data)
        for number, message in enumerate(messages):
            # browsers send either kind
            channel.emit("message", message if number % 2 == 0 else message.decode("latin-1"))
        calls = desktop.input.calls
        assert channel.sent == 0, "version 2 is never answered"
        assert len(calls) + legacy.refused <= len(messages)
        for name, arguments in calls:
            assert not name.startswith("key") or 8 <= arguments[0] < 2**32
            assert not name.startswith("button") or arguments[0] < 8

    def close(self) -> None:
        self._sessions.shutdown()


def open_target() -> LegacyChannelTarget:
    return LegacyChannelTarget()


def seeds() -> dict[str, bytes]:
    messages = {
        "move": struct.pack("<BHHH", 1, 4, 640, 360),
        "scroll": struct.pack("<BHhh", 2, 4, -1, 1),
        "scroll-with-control": struct.pack("<BHhhB", 2, 5, -1, 1, 1),
        "key-down": struct.pack("<BHQ", 3, 8, 0xFF0D),
        "key-up": struct.pack("<BHQ", 4, 8, 0x0100_20AC),
        "button-down": struct.pack("<BHQ", 3, 8, 1),
        "code-beyond-32-bits": struct.pack("<BHQ", 3, 8, 2**40),
        "nothing": struct.pack("<BH", 5, 0),
    }
    return {
        **{name: joined(message) for name, message in messages.items()},
        "everything": joined(*messages.values()),
    }
