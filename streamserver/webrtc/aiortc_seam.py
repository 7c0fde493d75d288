"""Every private part of aiortc that we touch, and nothing else.

aiortc is pinned (pyproject.toml). `verify` checks that everything named here is still there; the manager
calls it at start, and a test does. What each part is for stands with the function that uses it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import aiortc
from aiortc import RTCPeerConnection, RTCRtpSender
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from .errors import WebRTCError
from .ice_lite import LiteConnection

AIORTC_VERSION = "1.16.0"
"""The version whose private parts these are."""

_EXTENSIONS_MAP = "_RTCRtpSender__rtp_header_extensions_map"
_LAST_REPORT = "_RTCRtpSender__lsr"
_NTP_FRACTIONS = 1 << 32
_ONE_BYTE_HEADER = 0xBEDE


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
        dtls: ("_task", "_state", "_rtp_router"),
        pc.sctp: ("_advertised_rwnd", "_sack_misordered"),
        sender: ("_handle_rtcp_packet", "_send_rtcp", "_ssrc", _EXTENSIONS_MAP, _LAST_REPORT),
    }
    missing = [
        f"{type(owner).__name__}.{name}"
        for owner, names in wanted.items()
        for name in names
        if not hasattr(owner, name)
    ]
    if missing:
        raise SeamError(f"aiortc {aiortc.__version__} lacks {', '.join(missing)}: reinstall it")


def attach(pc: RTCPeerConnection, connection: LiteConnection) -> None:
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
            usernameFragment=connection.local_username, password=connection.local_password, iceLite=True
        )

    gatherer.getLocalParameters = local_parameters


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


MAX_MISORDERED = 2048
"""Chunks of SCTP that may be ahead of a missing one; a full window of small ones has fewer."""


def sctp_abuse(pc: RTCPeerConnection) -> str | None:
    """Say what a viewer does that no honest SCTP does; aiortc bounds neither, and both cost without end."""
    sctp = pc.sctp
    if sctp is None:
        return None
    if sctp._advertised_rwnd < 0:
        return "it sends more data than it may"
    if len(sctp._sack_misordered) > MAX_MISORDERED:
        return "it sends data with too many gaps"
    return None


class RtcpListener:
    """What a viewer's RTCP tells about one sender. Every method may be overridden; none must raise."""

    def keyframe_wanted(self) -> None:
        """Note a PLI or FIR: the viewer cannot decode what it has."""

    def packets_lost(self, count: int) -> None:
        """Note a NACK for `count` packets; aiortc sends them again by itself."""

    def bandwidth_estimated(self, bitrate: int) -> None:
        """Note a REMB: bit/s that the viewer believes it can receive."""

    def reception_reported(self, lost: int, jitter: int, delay: int) -> None:
        """Note a report block: packets lost since the start, jitter in clock ticks, delay since our report in
        1/65536 s.
        """


def listen_to_rtcp(sender: RTCRtpSender, listener: RtcpListener) -> None:
    """Tell the listener of all RTCP about the sender: aiortc itself forgets key frame requests of encoded
    tracks.
    """
    handle = sender._handle_rtcp_packet
    ssrc = sender._ssrc

    async def observed(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpPsfbPacket):
            if packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                listener.keyframe_wanted()
            elif packet.fmt == RTCP_PSFB_APP:
                try:
                    listener.bandwidth_estimated(unpack_remb_fci(packet.fci)[0])
                except ValueError:
                    return
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            listener.packets_lost(len(packet.lost))
        elif isinstance(packet, (RtcpRrPacket, RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == ssrc:
                    listener.reception_reported(report.packets_lost, report.jitter, report.dlsr)
        await handle(packet)

    _set(sender, "_handle_rtcp_packet", observed)


class _PlayoutDelayMap(HeaderExtensionsMap):
    """aiortc's header extensions, and playout-delay 0/0: show each frame as soon as it is decoded."""

    def __init__(self, extension_id: int) -> None:
        super().__init__()
        self._element = bytes((extension_id << 4 | 2, 0, 0, 0))

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        """Serialise the extensions, ours first."""
        profile, value = super().set(values)
        if value and profile != _ONE_BYTE_HEADER:
            return profile, value
        return _ONE_BYTE_HEADER, self._element + value


def send_playout_delay(sender: RTCRtpSender, extension_id: int) -> None:
    """Let the sender, before it starts, put the playout-delay extension into every packet. `extension_id`: 1
    to 14.
    """
    _set(sender, _EXTENSIONS_MAP, _PlayoutDelayMap(extension_id))


def report_capture_times(sender: RTCRtpSender, delay: Callable[[], float]) -> None:
    """Make sender reports say when a frame was captured, in place of when it was sent.

    Sound and picture take different times to encode; a viewer aligns them by these reports. `delay()`:
    seconds from capture to sending of the latest frame.
    """
    send = cast("Callable[[list[AnyRtcpPacket]], Awaitable[None]]", sender._send_rtcp)

    async def shifted(packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                packet.sender_info.ntp_timestamp -= int(delay() * _NTP_FRACTIONS)
                # aiortc recognises its own report in the viewer's answer by this, for the round-trip time
                _set(sender, _LAST_REPORT, packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF)
        await send(packets)

    _set(sender, "_send_rtcp", shifted)


def _set(target: object, name: str, value: object) -> None:
    """Replace an attribute on one object, whose class declares it otherwise."""
    object.__setattr__(target, name, value)


class _IceTransportInside:
    """The attributes of `RTCIceTransport` that we replace, as what we replace them with."""

    _connection: LiteConnection
    _recv: Callable[[], Awaitable[bytes]]
    _send: Callable[[bytes], Awaitable[None]]


class _GathererInside:
    """The attributes of `RTCIceGatherer` that we replace."""

    _connection: LiteConnection
    getLocalParameters: Callable[[], RTCIceParameters]  # noqa: N815 aiortc's name
