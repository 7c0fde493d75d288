"""Every private part of aiortc that we touch, and nothing else.

aiortc is pinned (pyproject.toml). `verify` checks that everything named here is still there; the manager
calls it at start, and a test does. What each part is for stands with the function that uses it.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import aiortc
import pylibsrtp
from aioice import Connection
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSctpTransport
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCDtlsTransport, State
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtcsctptransport import InboundStream
from aiortc.rtp import RTCP_PSFB_FIR, AnyRtcpPacket, RtcpPsfbPacket
from pylibsrtp._binding import ffi, lib

from streamserver.logs import get_logger

from .chunks import MAX_SEGMENTS, Chunk, number
from .connection import ViewerConnection
from .errors import WebRTCError
from .rate_limit import RateLimit
from .sctp_packet import BadPacketError, count_chunks

log = get_logger("webrtc")

AIORTC_VERSION = "1.16.0"
"""The version whose private parts these are."""


class SeamError(WebRTCError):
    """This aiortc is not the one we were built on; the message names what is missing."""


def verify() -> None:
    """Check that aiortc still has every part that we take hold of.

    Raises:
        SeamError: another version, or a part is gone.
    """
    if aiortc.__version__ != AIORTC_VERSION:
        raise SeamError(
            f"aiortc {aiortc.__version__} is installed; catnap needs {AIORTC_VERSION}: reinstall it"
        )
    pc = RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    transceiver = pc.addTransceiver("video")
    sender, dtls = transceiver.sender, transceiver.sender.transport
    ice = dtls.transport
    pc.createDataChannel("")
    wanted: dict[object, tuple[str, ...]] = {
        ice: ("_connection", "_recv", "_send"),
        ice.iceGatherer: ("_connection", "getLocalParameters"),
        dtls: (
            "_task",
            "_state",
            "_ssl",
            "_tx_srtp",
            "_rtp_router",
            "_handle_rtp_data",
            "_handle_rtcp_data",
        ),
        type(dtls): ("_register_rtp_sender", "_unregister_rtp_sender"),
        dtls._rtp_router: ("route_rtcp", "senders", "ssrc_table"),
        pc.sctp: ("_advertised_rwnd", "_sack_misordered", "_inbound_streams", "_handle_data"),
        InboundStream(): ("reassembly",),
        sender: ("_handle_rtcp_packet", "_ssrc", "_rtx_ssrc", "send", "stop"),
        pylibsrtp.Session(): ("_srtp",),
        Connection(ice_controlling=False): ("_nominated", "_protocols"),
        lib: ("srtp_protect",),
    }
    unknown = {profile.openssl_profile for profile in SRTP_PROFILES} - _TRAILERS.keys()
    if unknown:
        raise SeamError(f"aiortc {aiortc.__version__} knows SRTP profiles that we do not: {unknown}")
    missing = [
        f"{type(owner).__name__}.{name}"
        for owner, names in wanted.items()
        for name in names
        if not hasattr(owner, name)
    ]
    if missing:
        raise SeamError(f"aiortc {aiortc.__version__} lacks {', '.join(missing)}: reinstall it")


def attach(pc: RTCPeerConnection, connection: ViewerConnection) -> None:
    """Put our connection in the place of aioice's.

    Called after the transceivers and the channel are made and before the offer, on a connection whose bundle
    policy is MAX_BUNDLE, so that there is one transport.
    """
    transports = {transceiver.sender.transport for transceiver in pc.getTransceivers()}
    if pc.sctp is not None:
        transports.add(pc.sctp.transport)
    (dtls,) = transports
    ice = cast("_IceTransportInside", dtls.transport)
    gatherer = cast("_GathererInside", dtls.transport.iceGatherer)
    gatherer._connection = connection
    ice._connection = connection
    ice._recv = connection.recv
    ice._send = connection.send

    def local_parameters() -> RTCIceParameters:
        return RTCIceParameters(
            usernameFragment=connection.local_username,
            password=connection.local_password,
            iceLite=connection.is_lite,
        )

    gatherer.getLocalParameters = local_parameters
    _route_fir(dtls)
    guard_media(dtls)
    if pc.sctp is not None:
        guard_data(pc.sctp)


def _route_fir(dtls: RTCDtlsTransport) -> None:
    """Let FIR reach its senders: it names them in its body, and nobody in its header (RFC 5104 §4.3.1)."""
    router = dtls._rtp_router
    route = router.route_rtcp

    def route_rtcp(packet: AnyRtcpPacket) -> set[object]:
        recipients: set[object] = set(route(packet))
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_FIR:
            for start in range(0, len(packet.fci) - 7, 8):
                sender = router.senders.get(int.from_bytes(packet.fci[start : start + 4], "big"))
                if sender is not None:
                    recipients.add(sender)
        return recipients

    _set(router, "route_rtcp", route_rtcp)


def selected_pair(connection: Connection) -> CandidatePair | None:
    """Return the pair that aioice sends on."""
    pair: CandidatePair | None = connection._nominated.get(1)
    return pair


def add_protocols(connection: Connection, protocols: Iterable[StunProtocol]) -> None:
    """Let aioice use these sockets, and close them with the connection."""
    connection._protocols += protocols


def close_protocols(connection: Connection) -> None:
    """Close the sockets without waiting."""
    for protocol in connection._protocols:
        protocol.transport.close()


def waiting_bytes(connection: Connection) -> int:
    """Return what the system did not take yet on the selected pair's socket, in bytes."""
    pair = selected_pair(connection)
    transport = None if pair is None else pair.protocol.transport
    # a TURN client's transport has no buffer to ask about
    return transport.get_write_buffer_size() if isinstance(transport, asyncio.WriteTransport) else 0


def send_on_pair(connection: Connection, data: bytes) -> bool:
    """Send one datagram on the selected pair; False if there is none."""
    pair = selected_pair(connection)
    if pair is None:
        return False
    pair.protocol.transport.sendto(data, pair.remote_addr)
    return True


def dtls_transport(pc: RTCPeerConnection) -> RTCDtlsTransport:
    """Return the one DTLS transport of a bundled connection."""
    return pc.getTransceivers()[0].sender.transport


def dtls_is_up(dtls: RTCDtlsTransport) -> bool:
    """Whether the handshake is over and media can be sent."""
    return dtls._state is State.CONNECTED


def collect_failure(dtls: RTCDtlsTransport) -> BaseException | None:
    """Return what ended the receiving task of a closed transport, so that it counts as seen."""
    task = dtls._task
    if task is None or not task.done() or task.cancelled():
        return None
    return task.exception()


def guard_media(dtls: RTCDtlsTransport) -> None:
    """Drop decrypted RTP and RTCP that aiortc stumbles over; else it would end the viewer's connection."""
    handle_rtp, handle_rtcp = dtls._handle_rtp_data, dtls._handle_rtcp_data

    async def rtp(data: bytes, arrival_time_ms: int) -> None:
        try:
            await handle_rtp(data, arrival_time_ms=arrival_time_ms)
        except _STUMBLES as error:
            log.debug("a viewer's packet of RTP was dropped", error=repr(error))

    async def rtcp(data: bytes) -> None:
        try:
            await handle_rtcp(data)
        except _STUMBLES as error:
            log.debug("a viewer's packet of RTCP was dropped", error=repr(error))

    _set(dtls, "_handle_rtp_data", rtp)
    _set(dtls, "_handle_rtcp_data", rtcp)


_STUMBLES = (ValueError, IndexError, KeyError, OverflowError, AssertionError, struct.error)
"""How aiortc says that it cannot read something."""

MAX_MISORDERED = 2048
"""Chunks of SCTP that may be ahead of a missing one; a full window of small ones has fewer."""

MAX_FRAGMENTS = 256
"""Chunks that may wait for the rest of their messages: aiortc looks at all of them with each that comes. The
longest message it offers to take has 56."""

MAX_STREAMS = 64
"""Data channels, by which a viewer may send: it has reason for two."""

MAX_SOURCES = 64
"""Names (SSRC) under which a viewer may send sound: aiortc remembers each."""

CHUNK_BUDGET = (4000.0, 8000)
"""Chunks of SCTP taken from a viewer, per second on average and at once: each costs 20 µs, and a packet can
have many. What is dropped is sent again."""


def guard_data(sctp: RTCSctpTransport) -> None:
    """Keep packets from aiortc that would hold it up; one it stumbles over ends this connection alone."""
    handle = sctp._handle_data
    budget = RateLimit(*CHUNK_BUDGET, time.monotonic())

    async def guarded(data: bytes) -> None:
        try:
            chunks = count_chunks(data)
        except BadPacketError as error:
            log.debug("a viewer's packet of SCTP was dropped", reason=str(error))
            return
        now = time.monotonic()
        if _data_abuse(sctp) is not None or not all(budget.allow(now) for _ in range(chunks)):
            return
        try:
            await handle(data)
        except _STUMBLES as error:
            raise ConnectionError("a viewer's SCTP cannot be understood") from error

    _set(sctp, "_handle_data", guarded)


def abuse(pc: RTCPeerConnection) -> str | None:
    """Say what a viewer does that no honest one does; aiortc bounds none of it, and all cost without end."""
    if len(dtls_transport(pc)._rtp_router.ssrc_table) > MAX_SOURCES:
        return "it sends sound under too many names"
    return None if pc.sctp is None else _data_abuse(pc.sctp)


def _data_abuse(sctp: RTCSctpTransport) -> str | None:
    if sctp._advertised_rwnd < 0:
        return "it sends more data than it may"
    if len(sctp._sack_misordered) > MAX_MISORDERED:
        return "it sends data with too many gaps"
    streams = sctp._inbound_streams
    if len(streams) > MAX_STREAMS:
        return "it opens too many data channels"
    if sum(len(stream.reassembly) for stream in streams.values()) > MAX_FRAGMENTS:
        return "it sends too many parts of messages"
    return None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What aiortc and the viewer agreed on for one sender.

    `extensions`: ids of header extensions by URI. `rtx`: SSRC and payload type for packets that are sent
    again, None where the viewer knows no RTX.
    """

    ssrc: int
    payload_type: int
    mid: str
    cname: str
    extensions: Mapping[str, int]
    rtx: tuple[int, int] | None = None


class MediaSender(Protocol):
    """Sends media in the place of aiortc's own sender."""

    def start(self, negotiated: Negotiated, srtp: OutgoingSrtp) -> None:
        """Begin: there are keys."""

    def rtcp_received(self, packet: AnyRtcpPacket) -> None:
        """Take a packet of RTCP that is about this sender."""

    def stop(self) -> None:
        """End; may come more than once, and without `start`."""


def take_over(sender: RTCRtpSender, media: MediaSender) -> None:
    """Let `media` send in the place of aiortc's sender, which goes on to negotiate and to be routed RTCP."""
    started = False

    async def start(parameters: RTCRtpSendParameters) -> None:
        nonlocal started
        if started:
            return
        started = True
        transport = sender.transport
        transport._register_rtp_sender(sender, parameters)
        ids = {extension.uri: extension.id for extension in parameters.headerExtensions}
        payload_type = parameters.codecs[0].payloadType
        assert payload_type is not None, "aiortc starts a sender after it negotiated a codec"
        rtx = [
            (sender._rtx_ssrc, codec.payloadType)
            for codec in parameters.codecs
            if codec.name.lower() == "rtx"
            and codec.parameters.get("apt") == payload_type
            and codec.payloadType is not None
        ]
        cname = parameters.rtcp.cname or ""
        negotiated = Negotiated(
            sender._ssrc, payload_type, parameters.muxId, cname, ids, rtx[0] if rtx else None
        )
        media.start(negotiated, OutgoingSrtp(transport))

    async def handle(packet: AnyRtcpPacket) -> None:
        media.rtcp_received(packet)

    async def stop() -> None:
        media.stop()
        if started:
            sender.transport._unregister_rtp_sender(sender)

    _set(sender, "send", start)
    _set(sender, "_handle_rtcp_packet", handle)
    _set(sender, "stop", stop)


_TRAILERS = {b"SRTP_AEAD_AES_256_GCM": 16, b"SRTP_AEAD_AES_128_GCM": 16, b"SRTP_AES128_CM_SHA1_80": 10}
"""Bytes of the tag behind a packet, by protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2)."""

_BUFFER_SIZE = MAX_SEGMENTS * 1500
_buffer = ffi.new("char[]", _BUFFER_SIZE)
_view = memoryview(ffi.buffer(_buffer))
_length = ffi.new("int *")
_packets: dict[int, object] = {}
"""Pointers into the buffer, by offset."""


class OutgoingSrtp:
    """The SRTP session towards one viewer.

    pylibsrtp's own `protect` copies each packet twice and allocates; here whole chunks are protected in
    place, in one buffer for all viewers. Used on the event loop only. `trailer`: bytes SRTP adds to each
    packet of RTP.
    """

    def __init__(self, dtls: RTCDtlsTransport) -> None:
        assert dtls._ssl is not None, "aiortc starts a sender after the handshake"
        profile = dtls._ssl.get_selected_srtp_profile()
        if profile not in _TRAILERS:
            raise SeamError(f"the SRTP profile {profile!r} is not known here")
        self.trailer = _TRAILERS[profile]
        self._session = dtls._tx_srtp
        self._inside = self._session._srtp[0]

    def protect(
        self, chunk: Chunk, sequence: int, timestamp: int, ssrc: int, send_time: int
    ) -> memoryview | None:
        """Return the chunk's packets, numbered and encrypted; None if they are too old to be sent again.

        The memory is overwritten by the next call.
        """
        number(_view, chunk, sequence, timestamp, ssrc, send_time)
        for offset, length in chunk.places:
            packet = _packets.get(offset)
            if packet is None:
                packet = _packets[offset] = _buffer + offset
            _length[0] = length
            if lib.srtp_protect(self._inside, packet, _length):
                return None
        return _view[: len(chunk.template)]

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return a compound packet of RTCP encrypted."""
        protected: bytes = self._session.protect_rtcp(packet)
        return protected


def _set(target: object, name: str, value: object) -> None:
    """Replace an attribute on one object, whose class declares it otherwise."""
    object.__setattr__(target, name, value)


class _IceTransportInside:
    """The attributes of `RTCIceTransport` that we replace, as what we replace them with."""

    _connection: ViewerConnection
    _recv: Callable[[], Awaitable[bytes]]
    _send: Callable[[bytes], Awaitable[None]]


class _GathererInside:
    """The attributes of `RTCIceGatherer` that we replace."""

    _connection: ViewerConnection
    getLocalParameters: Callable[[], RTCIceParameters]  # noqa: N815 aiortc's name
