"""Entries of the connection tracker, as bytes; the filter for events, in a machine that runs it."""

import struct
from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from hostagent.netlink import conntrack
from hostagent.netlink.attributes import attribute, nested, spans
from hostagent.netlink.conntrack import Entry
from hostagent.netlink.message import HEADER_SIZE, Flag, Subsystem, build
from hostagent.netlink.socket import Instruction

ports = st.integers(0, 65535)
marks = st.integers(0, 2**32 - 1)


def packed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    address = packed(draw(st.sampled_from([4, 16])))
    return Entry(
        draw(st.integers(0, 255)),
        draw(address),
        draw(ports),
        draw(address),
        draw(ports),
        draw(address),
        draw(ports),
        draw(st.none() | st.integers(0, 255)),
        draw(marks),
        draw(st.none() | st.integers(0, 2**64 - 1)),
    )


def encoded(entry: Entry) -> bytes:
    """Write an entry as the kernel does, with things in it that we do not know."""
    unknown = attribute(20, b"whatever")
    reply_destination = bytes(len(entry.reply_source))
    parts = [
        unknown,
        conntrack.by_tuple(entry),
        _tuple(2, entry.protocol, entry.reply_source, entry.reply_source_port, reply_destination, 1),
        attribute(3, b"\0\0\0\x0e"),
        attribute(8, struct.pack("!I", entry.mark)),
        unknown,
    ]
    if entry.tcp_state is not None:
        parts.append(nested(4, nested(1, attribute(2, b"\7"), attribute(1, bytes([entry.tcp_state])))))
    if entry.packets is not None:
        parts.append(nested(9, attribute(1, struct.pack("!Q", entry.packets)), attribute(2, bytes(8))))
    return b"".join(parts)


def _tuple(kind: int, protocol: int, source: bytes, port: int, destination: bytes, to: int) -> bytes:
    first, second = (1, 2) if len(source) == 4 else (3, 4)
    return nested(
        kind,
        nested(1, attribute(first, source), attribute(second, destination)),
        nested(
            2,
            attribute(1, bytes([protocol])),
            attribute(2, struct.pack("!H", port)),
            attribute(3, struct.pack("!H", to)),
        ),
    )


@given(entries(), st.binary(max_size=20).map(lambda extra: extra[: len(extra) // 4 * 4]))
def test_an_entry_comes_back(entry: Entry, before: bytes) -> None:
    data = before + encoded(entry)
    assert conntrack.parse(data, len(before), len(data)) == entry
    assert conntrack.parse(memoryview(data), len(before), len(data)) == entry


@given(entries(), st.data())
def test_damage_never_raises(entry: Entry, data: st.DataObject) -> None:
    whole = bytearray(encoded(entry))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    found = conntrack.parse(bytes(whole[:cut]), 0, cut)
    if found is not None:
        assert len(found.source) == len(found.destination)
        conntrack.address(found.source)


def test_a_known_message() -> None:
    """A connection as it is in netfilter's own format: 192.168.0.10:42625 to 192.168.77.73:3333, state
    CLOSE.
    """
    original = bytes.fromhex(
        "34000180" "14000180" "08000100c0a8000a" "08000200c0a84d49"
        "1c000280" "0500010006000000" "06000200a6810000" "060003000d050000"
    )  # fmt: skip
    reply = bytes.fromhex(
        "34000280" "14000180" "08000100c0a84d49" "08000200c0a8000a"
        "1c000280" "0500010006000000" "060002000d050000" "06000300a6810000"
    )  # fmt: skip
    state = bytes.fromhex("1400048010000180050001000800000000000000")
    data = original + reply + state
    entry = conntrack.parse(data, 0, len(data))
    assert entry is not None
    assert (conntrack.address(entry.source), entry.source_port) == (IPv4Address("192.168.0.10"), 42625)
    assert (str(conntrack.address(entry.destination)), entry.destination_port) == ("192.168.77.73", 3333)
    assert (conntrack.address(entry.reply_source), entry.reply_source_port) == (
        ip_address("192.168.77.73"),
        3333,
    )
    assert (entry.protocol, entry.tcp_state, entry.mark, entry.packets) == (6, 8, 0, None)


@given(entries(), marks.filter(bool))
def test_the_filter_passes_what_has_the_mark(entry: Entry, mark: int) -> None:
    attributes = encoded(entry)
    event = build(Subsystem.CONNTRACK, conntrack.Command.NEW, Flag(0), 0, attributes)
    assert _run(conntrack.only_marked(mark), event) == (entry.mark & mark == mark)
    without = b"".join(
        attribute(kind, attributes[first:last])
        for kind, first, last in spans(attributes, 0, len(attributes))
        if kind != 8
    )
    assert not _run(
        conntrack.only_marked(mark), build(Subsystem.CONNTRACK, conntrack.Command.NEW, Flag(0), 0, without)
    )


def _run(program: list[Instruction], packet: bytes) -> bool:
    """Run classic BPF with the one extension we use (the kernel's SKF_AD_NLATTR)."""
    accumulator = index = counter = 0
    while True:
        code, jump_true, jump_false, operand = program[counter]
        counter += 1
        if code == 0x01:
            index = operand
        elif code == 0x00:
            accumulator = operand
        elif code == 0x20:
            assert operand == 0x1_0000_0000 - 0x1000 + 12
            assert accumulator == HEADER_SIZE
            found = (first - 4 for kind, first, _ in spans(packet, accumulator, len(packet)) if kind == index)
            accumulator = next(found, 0)
        elif code == 0x15:
            counter += jump_true if accumulator == operand else jump_false
        elif code == 0x07:
            index = accumulator
        elif code == 0x40:
            (accumulator,) = struct.unpack_from("!I", packet, index + operand)
        elif code == 0x54:
            accumulator &= operand
        else:
            assert code == 0x06
            return operand > 0
