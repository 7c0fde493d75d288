"""Sends one viewer its picture or its sound: RTP, what was lost again, and sender reports."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from streamserver.capture.frames import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.stream import MediaKind, MediaStream

from .aiortc_seam import Negotiated, OutgoingSrtp
from .chunks import (
    ABS_SEND_TIME_URI,
    MAX_SEGMENTS,
    MID_URI,
    Chunk,
    Layout,
    retransmission,
    send_time,
)
from .congestion import TRAIN_LOST, Observation
from .fan_out import FanOut
from .flow import Flow
from .history import History, Sent
from .pacer import Pacer
from .payloads import MAX_PAYLOAD
from .rate_limit import RateLimit
from .receiver_reports import ReceiverReports, missing, wants_keyframe

QUEUE_LIMIT: dict[MediaKind, int] = {"video": 12, "audio": 50}
"""Frames that wait: half a second at most. Usually none does, or a key frame that is paced."""

RESEND_RATE, RESEND_BURST = 500.0, 300
"""Lost packets sent again per second: more than a usual stream has, and no lever for one who asks for all."""

KEYFRAME_RATE, KEYFRAME_BURST = 1.0, 4
"""Key frames that one viewer may ask for per second: everybody gets them."""

_CLOCK_RATE: dict[MediaKind, int] = {"video": VIDEO_CLOCK_RATE, "audio": AUDIO_CLOCK_RATE}
_CNAME = 1


class Connection(Protocol):
    """The way to the viewer; see `ice_lite.LiteConnection`."""

    @property
    def writable(self) -> bool:
        """Whether the system takes datagrams now."""

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, the last may be shorter. False: the system takes none now."""

    def send_now(self, data: bytes) -> bool:
        """Send one datagram. False: it was not taken."""


class _Queued:
    """A frame under way: `chunks` from number `at` on are still to be sent, of that one the packets from
    number `packet` on.
    """

    __slots__ = ("at", "chunks", "packet", "timestamp")

    def __init__(self, chunks: list[Chunk], timestamp: int) -> None:
        self.chunks = chunks
        self.timestamp = timestamp
        self.at = 0
        self.packet = 0


class FrameSender:
    """One viewer's sender for one kind of media; it is the flow's sink and stands in for aiortc's sender.

    A frame leaves at once, its first `MAX_SEGMENTS` packets at least; the rest of a large one follows in
    bursts: small ones, far apart, when `pacer` says that the network is slow. What the system does not take
    waits. When too much waits, the picture is dropped up to the next
    key frame, sound loses its oldest: nobody else waits for a slow viewer. `dropped` counts such frames.
    """

    def __init__(
        self, kind: MediaKind, stream: MediaStream | None, connection: Connection, fan_out: FanOut
    ) -> None:
        self.kind = kind
        self.flow = Flow(kind, stream, self)
        self.reports = ReceiverReports()
        self.pacer = Pacer()
        self.reported: Callable[[], None] | None = None
        self.playout_delay_id: int | None = None
        self.frames = 0
        self.dropped = 0
        self.overflows = 0
        self.resent = 0
        self._connection = connection
        self._fan_out = fan_out
        self._srtp: OutgoingSrtp | None = None
        self._layout = Layout(0, 0)
        self._ssrc = 0
        self._description = b""
        # in the lower half: the first wrap must not come before the viewer knows the stream (RFC 3711 §3.3.1)
        self._sequence = secrets.randbelow(1 << 15)
        self._offset = secrets.randbits(32)
        self._rtx: tuple[int, int] | None = None
        self._rtx_sequence = secrets.randbelow(1 << 15)
        self._queue: deque[_Queued] = deque()
        self._history = History()
        self._resending = RateLimit(RESEND_RATE, RESEND_BURST, time.monotonic())
        self._keyframes = RateLimit(KEYFRAME_RATE, KEYFRAME_BURST, time.monotonic())
        self._kept_back = False
        self._train_until = float("-inf")
        self._latest: EncodedFrame | None = None
        self._packet_count = 0
        self._octet_count = 0

    # What the seam calls.

    def start(self, negotiated: Negotiated, srtp: OutgoingSrtp) -> None:
        """Begin to send as was negotiated, once the flow is ready."""
        self._srtp = srtp
        self._ssrc = negotiated.ssrc
        self._rtx = negotiated.rtx
        self._layout = Layout(
            negotiated.payload_type,
            srtp.trailer,
            negotiated.mid.encode(),
            _small(negotiated.extensions.get(MID_URI)),
            _small(negotiated.extensions.get(ABS_SEND_TIME_URI)),
            self.playout_delay_id,
        )
        names = [RtcpSourceInfo(ssrc=self._ssrc, items=[(_CNAME, negotiated.cname.encode())])]
        self._description = bytes(RtcpSdesPacket(chunks=names))
        self.flow.set_started()

    def rtcp_received(self, packet: AnyRtcpPacket) -> None:
        """Send again what was lost, pass on that a key frame is wanted, and note the rest."""
        self.reports.take(packet, self._ssrc)
        self._act_on(packet)
        if self.reported is not None:
            self.reported()

    def observe(self) -> Observation:
        """Return what is known about the network to the viewer."""
        reports = self.reports
        return Observation(
            self._octet_count,
            self._packet_count,
            reports.nacks,
            reports.count,
            reports.fraction_lost,
            reports.round_trip,
            reports.bitrate,
            self.overflows,
            reports.trains,
            reports.train_trip,
        )

    def _act_on(self, packet: AnyRtcpPacket) -> None:
        if wants_keyframe(packet):
            self.reports.keyframe_requests += 1
            if self._keyframes.allow(time.monotonic()):
                self.flow.request_keyframe()
        elif lost := missing(packet):
            self.reports.nacks += len(lost)
            self._resend(lost)

    def stop(self) -> None:
        """Say goodbye and end. Safe to call again."""
        self.flow.stop()
        self._fan_out.forget(self)
        srtp, self._srtp = self._srtp, None
        if srtp is not None and self._packet_count:
            self._connection.send_now(srtp.protect_rtcp(bytes(RtcpByePacket(sources=[self._ssrc]))))
        self._history.clear()

    # What the flow calls.

    def deliver(self, frame: EncodedFrame) -> None:
        """Send a frame, or queue it."""
        if len(self._queue) >= QUEUE_LIMIT[self.kind] and not self._make_room(frame):
            return
        chunks = self._fan_out.chunks(frame, self.kind, self._layout)
        self.frames += 1
        first, self._latest = self._latest is None, frame
        self._queue.append(_Queued(chunks, (frame.rtp_time + self._offset) & 0xFFFFFFFF))
        if len(self._queue) > 1:
            self._fan_out.pace(self)
        else:
            self._fan_out.send(self)
        if first:
            self._fan_out.report_soon(self)

    def discard(self) -> None:
        """Forget what waits, and what was sent: a key frame comes next, so nobody needs that again."""
        self._queue.clear()
        self._history.clear()
        self._fan_out.forget(self)

    # What the timers call.

    def flush(self) -> bool:
        """Send one burst of what waits; True when nothing waits any more."""
        if self.pacer.rate is not None:
            return self._trickle()
        queue = self._queue
        left = MAX_SEGMENTS
        while queue:
            frame = queue[0]
            while frame.at < len(frame.chunks):
                chunk = frame.chunks[frame.at]
                if frame.packet:  # begun while it was paced
                    chunk = chunk.part(frame.packet, MAX_SEGMENTS)
                left -= len(chunk.places)
                if left < 0 or not self._send(chunk, frame.timestamp):
                    return False
                frame.at, frame.packet = frame.at + 1, 0
            queue.popleft()
        return True

    def _trickle(self) -> bool:
        """Send of what waits as much as the pacer allows now; True when nothing waits any more."""
        queue, pacer = self._queue, self.pacer
        now, waited, self._kept_back = time.monotonic(), self._kept_back, False
        while queue:
            frame = queue[0]
            while frame.at < len(frame.chunks):
                chunk = frame.chunks[frame.at]
                allowed = int(pacer.allowance(now, waited=waited) // chunk.stride)
                if allowed <= 0:
                    self._kept_back = True
                    return False
                part = chunk.part(frame.packet, allowed)
                if not self._send(part, frame.timestamp):
                    return False
                pacer.spend(len(part.template))
                frame.packet += len(part.places)
                if frame.packet == len(chunk.places):
                    frame.at, frame.packet = frame.at + 1, 0
            queue.popleft()
        return True

    def report(self) -> bool:
        """Tell the viewer which RTP time is which time of day; False when the sender has ended.

        The times of the sound's and the picture's capture are related by it, however long encoding takes.
        """
        if self._srtp is None:
            return False
        if time.monotonic() >= self._train_until:  # else the viewer should tell of the last report
            self._report(self._srtp)
        return True

    def send_train(self, packets: int) -> bool:
        """Send so many packets at once which the viewer has, and a report behind them: how late the report
        arrives tells how fast the link is. False: there are none, or the viewer would not understand.
        """
        if self._srtp is None or self._rtx is None or not self.flow.flowing:
            return False
        known = self._history.latest(packets, MAX_PAYLOAD * 2 // 3)
        if not known:
            return False
        for sent, index in itertools.islice(itertools.cycle(known), packets):
            data = self._again(self._srtp, sent, index)
            if data is not None and self._connection.send_now(bytes(data)):
                self.pacer.spend(len(data))
        self.reports.expect_train(self._report(self._srtp))
        self._train_until = time.monotonic() + TRAIN_LOST
        return True

    def _report(self, srtp: OutgoingSrtp) -> int:
        """Send a sender report; return its time as answers name it."""
        now = current_ntp_time()
        if self._packet_count and self._latest is not None and self.flow.flowing:
            age = time.monotonic() - self._latest.captured_at
            rtp_now = self._latest.rtp_time + self._offset + int(age * _CLOCK_RATE[self.kind])
            info = RtcpSenderInfo(
                ntp_timestamp=now,
                rtp_timestamp=rtp_now & 0xFFFFFFFF,
                packet_count=self._packet_count & 0xFFFFFFFF,
                octet_count=self._octet_count & 0xFFFFFFFF,
            )
            report = bytes(RtcpSrPacket(ssrc=self._ssrc, sender_info=info))
            self._connection.send_now(srtp.protect_rtcp(report + self._description))
        return now >> 16 & 0xFFFFFFFF

    # inside

    def _send(self, chunk: Chunk, timestamp: int) -> bool:
        """Send a chunk; False when the system takes nothing now."""
        if self._srtp is None or not self._connection.writable:
            return False
        moment = send_time(time.time())
        sequence = self._sequence
        data = self._srtp.protect(chunk, sequence, timestamp, self._ssrc, moment)
        if data is not None and not self._connection.send_segments(data, chunk.stride):
            return False  # none of it left: the numbers are used again
        self._sequence = sequence + len(chunk.places)
        self._packet_count += len(chunk.places)
        self._octet_count += chunk.payload_size
        self._history.add(Sent(sequence, chunk, timestamp, moment))
        return True

    def _resend(self, lost: list[int]) -> None:
        """Send packets again, in a stream of retransmissions where the viewer knows that."""
        if self._srtp is None:
            return
        now = time.monotonic()
        for number in lost:
            if not self._resending.allow(now):  # looking for what is not there costs too
                return
            found = self._history.find(number)
            if found is None:
                continue
            data = self._again(self._srtp, *found)
            if data is not None and self._connection.send_now(bytes(data)):
                self.resent += 1
                self.pacer.spend(len(data))

    def _again(self, srtp: OutgoingSrtp, sent: Sent, index: int) -> memoryview | None:
        """Return a packet encrypted once more; None if it is too old.

        Without RTX it is the same bytes as before: the cipher must not meet one number with two contents.
        """
        sequence = sent.sequence + index
        if self._rtx is None:
            packet = sent.chunk.single(index)
            return srtp.protect(packet, sequence, sent.timestamp, self._ssrc, sent.send_time)
        ssrc, payload_type = self._rtx
        packet = retransmission(sent.chunk, index, sequence, payload_type)
        self._rtx_sequence += 1
        return srtp.protect(packet, self._rtx_sequence, sent.timestamp, ssrc, send_time(time.time()))

    def _make_room(self, frame: EncodedFrame) -> bool:
        """Drop what is late: old sound, or the picture up to the next key frame. False: this frame too."""
        if self.kind == "audio":
            self._queue.popleft()
            self.dropped += 1
            return True
        self.dropped += len(self._queue)
        self.overflows += 1
        self.discard()
        if self.reported is not None:
            self.reported()
        if frame.keyframe and not self.flow.changing:
            return True
        self.dropped += 1
        self.flow.skip_to_keyframe()
        return False


def _small(extension_id: int | None) -> int | None:
    """Return the id if it fits the one-byte form of header extensions."""
    return extension_id if extension_id is not None and 1 <= extension_id <= 14 else None
