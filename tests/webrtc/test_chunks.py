from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.chunks import (
    ABS_SEND_TIME_URI,
    MAX_SEGMENTS,
    MID_URI,
    Chunk,
    Layout,
    lay_out,
    number,
    send_time,
)
from streamserver.webrtc.history import History, Sent

ids = st.one_of(st.none(), st.integers(1, 14))
layouts = st.builds(
    lambda payload_type, trailer, mid, three: Layout(payload_type, trailer, mid.encode(), *three),
    st.integers(96, 127),
    st.sampled_from([10, 16]),
    st.text("0123456789video", min_size=1, max_size=16),
    st.tuples(ids, ids, ids).filter(lambda three: len({*three} - {None}) == 3 - three.count(None)),
)
payload_lists = st.lists(
    st.one_of(st.integers(1, 40), st.just(40)).map(lambda size: b"p" * size), min_size=1, max_size=60
)


def packets(chunk: Chunk) -> list[bytes]:
    return [chunk.template[offset : offset + length] for offset, length in chunk.places]


@given(payload_lists, layouts, st.integers(0, 1 << 20), st.integers(0, 2**32 - 1), st.integers(0, 2**24 - 1))
def test_another_implementation_reads_the_packets(
    payloads: list[bytes], layout: Layout, sequence: int, timestamp: int, moment: int
) -> None:
    chunks = lay_out(payloads, layout, marked=True)
    extensions = HeaderExtensionsMap()
    negotiated = ((MID_URI, layout.mid_id), (ABS_SEND_TIME_URI, layout.abs_send_time_id))
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[RTCRtpHeaderExtensionParameters(id=i, uri=uri) for uri, i in negotiated if i]
        )
    )
    buffer = memoryview(bytearray(60 * 200))
    seen = 0
    for chunk in chunks:
        number(buffer, chunk, sequence + seen, timestamp, 0xCAFE, moment)
        for offset, length in chunk.places:
            data = bytes(buffer[offset : offset + length])
            packet = RtpPacket.parse(data, extensions)
            assert packet.payload == payloads[seen]
            assert packet.payload_type == layout.payload_type
            assert packet.sequence_number == (sequence + seen) % 65536
            assert (packet.timestamp, packet.ssrc) == (timestamp, 0xCAFE)
            assert packet.marker == (seen == len(payloads) - 1)
            assert packet.extensions.mid == (layout.mid.decode() if layout.mid_id else None)
            assert packet.extensions.abs_send_time == (moment if layout.abs_send_time_id else None)
            if layout.playout_delay_id:
                words = int.from_bytes(data[14:16], "big")
                elements = dict(unpack_header_extensions(0xBEDE, data[16 : 16 + 4 * words]))
                assert elements[layout.playout_delay_id] == b"\0\0\0"
            seen += 1
    assert seen == len(payloads)


@given(payload_lists, layouts)
def test_each_chunk_can_leave_in_one_segmented_send(payloads: list[bytes], layout: Layout) -> None:
    for chunk in lay_out(payloads, layout, marked=False):
        assert 1 <= len(chunk.places) <= MAX_SEGMENTS
        assert [offset for offset, _ in chunk.places] == [i * chunk.stride for i in range(len(chunk.places))]
        lengths = [length + layout.trailer for _, length in chunk.places]
        assert set(lengths[:-1]) <= {chunk.stride}
        assert lengths[-1] <= chunk.stride
        assert sum(lengths) == len(chunk.template)
        for index, packet in enumerate(packets(chunk)):
            assert packets(chunk.single(index)) == [packet]
            assert len(chunk.single(index).template) == len(packet) + layout.trailer


@given(st.floats(0, 4e9))
def test_send_time_is_the_middle_of_an_ntp_time(now: float) -> None:
    ntp = int((now + 2208988800) * 2**32)
    assert (send_time(now) - (ntp >> 14)) % 2**24 in (0, 1, 2**24 - 1)


def chunk_of(*sizes: int) -> Chunk:
    (chunk,) = lay_out([bytes(size) for size in sizes], Layout(96, 16), marked=False)
    return chunk


@given(st.lists(st.integers(1, 16), min_size=1, max_size=80), st.integers(0, 70_000))
def test_history_is_bounded_and_finds_what_it_has(counts: list[int], first: int) -> None:
    history = History(max_bytes=10_000, max_packets=100)
    sequence, sent = first, []
    for count in counts:
        sent.append(Sent(sequence, chunk_of(*[200] * count), 0, 0))
        history.add(sent[-1])
        sequence += count
        assert history.size <= 10_000
        assert history.packets <= 100
    newest = sent[-1]
    for index in range(len(newest.chunk.places)):
        assert history.find((newest.sequence + index) & 0xFFFF) == (newest, index)
    assert history.find(sequence & 0xFFFF) is None
    assert history.find((first - 1) & 0xFFFF) is None
    if sum(counts) > 100:
        assert history.find(first & 0xFFFF) is None
    history.clear()
    assert (history.size, history.packets, history.find(newest.sequence & 0xFFFF)) == (0, 0, None)
