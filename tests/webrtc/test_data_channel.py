from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.data_channel import (
    PING_BASE,
    BadControlMessageError,
    Button,
    ControlMessage,
    Key,
    Move,
    Ping,
    Scroll,
    Touch,
    TouchPhase,
    decode,
    encode_client_message,
    encode_cursor_image,
    encode_cursor_position,
    encode_pong,
)

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
i16 = st.integers(-(2**15), 2**15 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
messages: st.SearchStrategy[ControlMessage] = st.one_of(
    st.builds(Move, u16, u16),
    st.builds(Scroll, i16, i16, st.booleans()),
    st.builds(Key, u32, st.booleans()),
    st.builds(Button, u32, st.booleans()),
    st.builds(Ping, u32, u32),
    st.builds(Touch, st.sampled_from(TouchPhase), u32, i32, i32, st.integers(0, 255)),
)


@given(messages)
def test_what_clients_send_is_understood(message: ControlMessage) -> None:
    assert decode(encode_client_message(message)) == message


@given(messages)
def test_a_length_that_counts_the_header_is_understood_too(message: ControlMessage) -> None:
    data = bytearray(encode_client_message(message))
    data[1:3] = len(data).to_bytes(2, "big")
    assert decode(bytes(data)) == message


@given(messages, st.integers(0, 2**16 - 1))
def test_any_other_length_is_refused(message: ControlMessage, length: int) -> None:
    data = bytearray(encode_client_message(message))
    if length in (len(data), len(data) - 3) or (isinstance(message, Touch) and length == 12):
        return
    data[1:3] = length.to_bytes(2, "big")
    with pytest.raises(BadControlMessageError):
        decode(bytes(data))


@given(st.binary(max_size=100))
def test_junk_is_refused_or_a_message(junk: bytes) -> None:
    try:
        message = decode(junk)
    except BadControlMessageError:
        return
    assert len(encode_client_message(message)) <= len(junk) + 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("01 0004 0280 0168", Move(640, 360)),
        ("02 0004 0000 ff88", Scroll(0, -120, control_key=False)),
        ("02 0005 fff6 0003 01", Scroll(-10, 3, control_key=True)),
        ("03 0004 0000ff0d", Key(0xFF0D, down=True)),
        ("04 0004 01000439", Key(0x1000439, down=False)),
        ("05 0004 00000001", Button(1, down=True)),
        ("06 0004 00000003", Button(3, down=False)),
        ("07 0008 00000001 00000002", Ping(1, 2)),
        ("08 000d 00000007 00000010 fffffff0 80", Touch(TouchPhase.BEGIN, 7, 16, -16, 128)),
        # neko's own client: 16 bytes of touch and a length of 12
        ("0a 000c 00000007 00000010 00000020 00000040", Touch(TouchPhase.END, 7, 16, 32, 64)),
    ],
)
def test_the_bytes_on_the_wire(data: str, message: ControlMessage) -> None:
    assert decode(bytes.fromhex(data)) == message


def test_what_the_server_sends() -> None:
    assert encode_cursor_position(640, 360) == bytes.fromhex("01 0007 0280 0168")
    assert encode_cursor_position(-5, 70000) == bytes.fromhex("01 0007 0000 ffff")
    assert encode_cursor_image(16, 24, 1, 2, b"PNG") == bytes.fromhex("02 000e 0010 0018 0001 0002") + b"PNG"
    # longer than the length field can say: it wraps, as the receivers expect
    assert encode_cursor_image(1, 1, 0, 0, bytes(65536))[1:3] == struct.pack("!H", 11)


@given(u32, u32, st.integers(0, 2**44))
def test_a_pong_repeats_the_ping_and_adds_our_time(high: int, low: int, server_ms: int) -> None:
    opcode, length, *times = struct.unpack("!BHIIII", encode_pong(Ping(high, low), server_ms))
    assert (opcode, length, times[:2]) == (3, 19, [high, low])
    assert times[2] * PING_BASE + times[3] == server_ms
    assert Ping(high, low).milliseconds == high * PING_BASE + low
