"""Attributes and messages: what is built is what is read, and nothing that a kernel could send makes us
fail.
"""

import struct

from hypothesis import given
from hypothesis import strategies as st

from hostagent.netlink import log, queue
from hostagent.netlink.attributes import aligned, attribute, nested, spans
from hostagent.netlink.message import ERROR, Flag, Subsystem, build, error_number, messages

kinds = st.integers(0, 0x3FFF)
pairs = st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=8)


@given(pairs)
def test_what_is_built_is_read(made: list[tuple[int, bytes]]) -> None:
    data = b"".join(attribute(kind, value) for kind, value in made)
    assert len(data) == aligned(len(data))
    assert [(kind, data[first:last]) for kind, first, last in spans(data, 0, len(data))] == made


@given(pairs)
def test_the_quick_way_to_a_payload_finds_the_same(made: list[tuple[int, bytes]]) -> None:
    data = build(Subsystem.LOG, 0, Flag(0), 0, b"".join(attribute(kind, value) for kind, value in made))
    (message,) = messages(data)
    assert log.first_payload(data) == log.payload(data, message.start, message.end)


@given(kinds, pairs)
def test_nested_attributes_lose_their_flag(kind: int, made: list[tuple[int, bytes]]) -> None:
    data = nested(kind, *(attribute(inner, value) for inner, value in made))
    ((found, first, last),) = spans(data, 0, len(data))
    assert found == kind
    assert [(inner, data[begin:end]) for inner, begin, end in spans(data, first, last)] == made


@given(st.binary(max_size=200), st.integers(0, 50))
def test_any_bytes_end(data: bytes, start: int) -> None:
    for _, first, last in spans(data, start, len(data)):
        assert start <= first <= last <= len(data)
    for message in messages(data):
        assert message.start <= message.end + 4
        assert message.end <= len(data)
        error_number(data, message)
        queue.packet(data, message.start, message.end)
        log.payload(data, message.start, message.end)
    log.first_payload(data)


@given(
    st.sampled_from(sorted(Subsystem)),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=64),
    st.integers(0, 255),
    st.integers(0, 65535),
)
def test_a_message_comes_back(
    subsystem: Subsystem, command: int, sequence: int, value: bytes, family: int, resource: int
) -> None:
    first = build(
        subsystem, command, Flag.ACK, sequence, attribute(9, value), family=family, resource=resource
    )
    found = list(messages(first + first))
    assert len(found) == 2
    for message in found:
        assert message.kind == subsystem << 8 | command
        assert message.flags == Flag.ACK | Flag.REQUEST
        assert (message.sequence, message.family, message.resource) == (sequence, family, resource)
        data = first + first
        ((kind, begin, end),) = spans(data, message.start, message.end)
        assert (kind, data[begin:end]) == (9, value)


def test_an_answer_has_its_error() -> None:
    refused = struct.pack("=IHHIIi", 20, ERROR, 0, 7, 0, -16)
    (message,) = messages(refused)
    assert error_number(refused, message) == 16
    agreed = struct.pack("=IHHIIi", 20, ERROR, 0, 7, 0, 0)
    assert error_number(agreed, next(messages(agreed))) == 0


def test_a_packet_of_the_queue() -> None:
    data = attribute(1, struct.pack("!IHBx", 77, 0x0800, 4)) + attribute(10, b"E....")
    assert queue.packet(data, 0, len(data)) == (77, b"E....")
    assert queue.packet(data, 0, 8) is None
    assert log.payload(attribute(9, b"E..."), 0, 8) == b"E..."
