from __future__ import annotations

from aiortc.codecs.h264 import H264PayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.payloads import MAX_PAYLOAD, h264_payloads, nal_units, opus_payloads


def unit(header: int, body: bytes) -> bytes:
    """A NAL unit as an encoder makes it: no start code inside, no zero at the end."""
    return bytes((header,)) + body.replace(b"\0\0", b"\0\3") + b"\x80"


kinds = st.integers(1, 23)
headers = st.builds(lambda importance, kind: importance << 5 | kind, st.integers(0, 3), kinds)
sizes = st.one_of(st.integers(0, 60), st.integers(0, 6000))
bodies = st.builds(
    lambda size, seed: (seed * (size // max(len(seed), 1) + 1))[:size], sizes, st.binary(min_size=1)
)
units_lists = st.lists(st.builds(unit, headers, bodies), min_size=1, max_size=6)
start_codes = st.sampled_from([b"\0\0\1", b"\0\0\0\1"])


def depayloaded(payloads: list[bytes]) -> list[bytes]:
    """What aiortc makes of them."""
    return nal_units(b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in payloads))


@given(units_lists, st.integers(40, MAX_PAYLOAD), start_codes)
def test_another_implementation_puts_the_access_unit_together_again(
    units: list[bytes], limit: int, start_code: bytes
) -> None:
    access_unit = b"".join(start_code + unit for unit in units)
    assert nal_units(access_unit) == units
    payloads = h264_payloads(access_unit, limit)
    assert all(len(payload) <= limit for payload in payloads)
    assert depayloaded(payloads) == units


def test_small_neighbours_share_a_packet_and_a_large_unit_is_cut_into_equal_parts() -> None:
    sps, pps, idr = unit(0x67, bytes(20)), unit(0x68, bytes(4)), unit(0x65, b"\1" * 3000)
    payloads = h264_payloads(b"\0\0\0\1" + sps + b"\0\0\0\1" + pps + b"\0\0\1" + idr)
    assert [payload[0] & 0x1F for payload in payloads] == [24, 28, 28, 28]
    assert payloads[0][0] == 0x78, "as important as its most important part"
    assert [len(payload) for payload in payloads[1:3]] == [MAX_PAYLOAD, MAX_PAYLOAD]
    assert [payload[1] & 0xC0 for payload in payloads[1:]] == [0x80, 0, 0x40]
    assert all(payload[0] & 0x60 == 0x60 and payload[1] & 0x1F == 5 for payload in payloads[1:])


def test_a_unit_of_exactly_the_limit_stays_whole() -> None:
    for size, count in ((MAX_PAYLOAD, 1), (MAX_PAYLOAD + 1, 2)):
        payloads = h264_payloads(b"\0\0\1" + b"\x41" + b"\1" * (size - 1))
        assert len(payloads) == count


def test_zeros_before_a_start_code_belong_to_it() -> None:
    assert nal_units(b"\0\0\0\1\x67\1\0\0\0\0\1\x68\2\0\0") == [b"\x67\1", b"\x68\2"]


@given(st.binary(max_size=300))
def test_no_input_makes_it_stumble(data: bytes) -> None:
    h264_payloads(data, 50)


def test_an_opus_packet_is_a_payload() -> None:
    assert opus_payloads(b"\xf8\xff\xfe") == [b"\xf8\xff\xfe"]
    assert opus_payloads(b"") == []
