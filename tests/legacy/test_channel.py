"""The little-endian data channel, and whose input counts."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.sessions.control import may_send_legacy_input
from streamserver.sessions.model import RoomSettings, Session, SessionId
from streamserver.webrtc.data_channel import BadControlMessageError, Button, Key, Move, Scroll
from streamserver.webrtc.legacy_channel import decode_legacy
from tests.sessions.doubles import admin, user


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (struct.pack("<BHHH", 1, 4, 300, 200), Move(300, 200)),
        (struct.pack("<BHhh", 2, 4, -2, 3), Scroll(-2, 3, control_key=False)),
        (struct.pack("<BHhhB", 2, 5, -2, 3, 1), Scroll(-2, 3, control_key=True)),
        (struct.pack("<BHQ", 3, 8, 1), Button(1, down=True)),
        (struct.pack("<BHQ", 4, 8, 3), Button(3, down=False)),
        (struct.pack("<BHQ", 3, 8, 0xFF0D), Key(0xFF0D, down=True)),
        (struct.pack("<BHQ", 4, 8, 0xFF0D), Key(0xFF0D, down=False)),
        (struct.pack("<BHQ", 3, 8, 1 << 40), None),
        (b"\5\0\0", None),
    ],
)  # fmt: skip
def test_messages(data: bytes, message: object) -> None:
    assert decode_legacy(data) == message


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadControlMessageError):
        decode_legacy(data)


def test_whose_input_counts() -> None:
    ann, root = Session(SessionId("ann"), user()), Session(SessionId("root"), admin())
    free, implicit = RoomSettings(), RoomSettings(implicit_hosting=True)
    assert may_send_legacy_input(ann, ann, free)
    assert not may_send_legacy_input(ann, None, free)
    assert not may_send_legacy_input(ann, root, free)
    assert may_send_legacy_input(ann, root, implicit)
    assert not may_send_legacy_input(ann, ann, RoomSettings(locked_controls=True))
    assert may_send_legacy_input(root, root, RoomSettings(locked_controls=True))
    assert not may_send_legacy_input(ann, ann, RoomSettings(private_mode=True))
    assert not may_send_legacy_input(Session(SessionId("eve"), user(can_host=False)), None, implicit)
