"""Metrics of the viewers, by neko's names where it has them.

They are read from the living peers at each scrape: a session that ends takes its series along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .peer import Peer
from .ports import Ports


@dataclass(slots=True)
class SessionFigures:
    """What outlives the single peers of a session: how many there were, how often their state changed."""

    connections: int = 0
    state_changes: int = 0
    peer: Peer | None = None
    nacks_before: int = 0
    sent_before: Counter[str] = field(default_factory=Counter)
    received_before: Counter[str] = field(default_factory=Counter)


PeerValue = Callable[[SessionFigures, Peer], float]

_PER_SESSION: tuple[tuple[str, str, PeerValue], ...] = (
    (
        "neko_webrtc_connection_state",
        "State of the connection: 0 new, 1 closed, 2 failed, 3 disconnected, 4 connecting, 5 connected.",
        lambda _, peer: peer.state,
    ),
    (
        "neko_webrtc_connection_state_count",
        "Changes of that state.",
        lambda figures, _: figures.state_changes,
    ),
    ("neko_webrtc_connection_count", "WebRTC connections made.", lambda figures, _: figures.connections),
    (
        "neko_webrtc_receiver_estimated_maximum_bitrate",
        "What the viewer believes it can receive (REMB), bit/s.",
        lambda _, peer: peer.video.reports.bitrate,
    ),
    (
        "neko_webrtc_receiver_report_delay",
        "Delay since our report in the viewer's latest one, s.",
        lambda _, peer: peer.video.reports.delay / 65536,
    ),
    (
        "neko_webrtc_receiver_report_jitter",
        "Jitter of the picture's packets, ticks of 90 kHz.",
        lambda _, peer: peer.video.reports.jitter,
    ),
    (
        "neko_webrtc_receiver_report_total_lost",
        "Packets of the picture that the viewer missed.",
        lambda _, peer: peer.video.reports.lost,
    ),
    (
        "catnap_webrtc_round_trip_seconds",
        "Round trip to the viewer by its latest report, s; 0 before it is known.",
        lambda _, peer: peer.video.reports.round_trip or 0.0,
    ),
    (
        "catnap_webrtc_receiver_fraction_lost",
        "Share of the picture's packets that the viewer missed lately, 0 to 1.",
        lambda _, peer: peer.video.reports.fraction_lost,
    ),
    (
        "catnap_webrtc_packets_resent",
        "Packets of the picture sent again by the present connection.",
        lambda _, peer: peer.video.resent,
    ),
    (
        "catnap_webrtc_video_bitrate",
        "Bits of the picture sent in the last second.",
        lambda _, peer: peer.bitrate,
    ),
    (
        "catnap_webrtc_video_paused",
        "1 while the viewer's network cannot take even the lowest quality.",
        lambda _, peer: peer.video_status.paused,
    ),
    (
        "catnap_webrtc_frames_sent",
        "Pictures that the present connection sent.",
        lambda _, peer: peer.video.frames,
    ),
    (
        "catnap_webrtc_frames_dropped",
        "Pictures that the present connection did not send because earlier ones still waited.",
        lambda _, peer: peer.video.dropped,
    ),
    (
        "neko_webrtc_transport_layer_nacks",
        "Packets of the picture that the viewer asked for again.",
        lambda figures, peer: figures.nacks_before + peer.video.reports.nacks,
    ),
)


class WebRTCMetrics(Collector):
    """Turns the figures of all sessions and of the socket into series."""

    def __init__(
        self, figures: Callable[[], Iterable[tuple[str, SessionFigures]]], ports: Callable[[], Ports | None]
    ):
        self._figures = figures
        self._ports = ports

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: there are no series before there is a session."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        peers = [
            (session, figures, figures.peer)
            for session, figures in self._figures()
            if figures.peer is not None
        ]
        for name, text, value in _PER_SESSION:
            family = GaugeMetricFamily(name, text, labels=["session_id"])
            for session, figures, peer in peers:
                family.add_metric([session], value(figures, peer))
            yield family
        yield self._transport("neko_webrtc_bytes_sent", "Bytes sent to the viewer.", peers, sent=True)
        yield self._transport(
            "neko_webrtc_bytes_received", "Bytes received from the viewer.", peers, sent=False
        )
        listeners = GaugeMetricFamily(
            "neko_webrtc_video_listeners",
            "1 while the viewer gets that stream.",
            labels=["session_id", "video_id"],
        )
        used = GaugeMetricFamily(
            "neko_webrtc_ice_candidates_used",
            "Addresses the viewer comes from.",
            labels=["session_id", "protocol"],
        )
        for session, _, peer in peers:
            listeners.add_metric([session, peer.video_status.id], float(peer.video.flow.flowing))
            protocols = peer.connection.protocols()
            for protocol in ("udp", "tcp"):
                used.add_metric([session, protocol], protocols[protocol])
        yield listeners
        yield used
        yield from self._socket()

    @staticmethod
    def _transport(
        name: str, text: str, peers: list[tuple[str, SessionFigures, Peer]], *, sent: bool
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=["session_id", "transport"])
        for session, figures, peer in peers:
            before = figures.sent_before if sent else figures.received_before
            for transport, owner in (("ice", peer.connection), ("sctp", peer.channel)):
                now = owner.bytes_sent if sent else owner.bytes_received
                family.add_metric([session, transport], before[transport] + now)
        return family

    def _socket(self) -> Iterator[Metric]:
        ports = self._ports()
        if ports is None:
            return
        udp, tcp = ports.udp, ports.tcp
        yield GaugeMetricFamily(
            "catnap_webrtc_paths",
            "Addresses and connections that belong to viewers.",
            value=udp.path_count + (tcp.path_count if tcp is not None else 0),
        )
        yield CounterMetricFamily("catnap_webrtc_datagrams_received", "Datagrams read.", value=udp.received)
        yield CounterMetricFamily("catnap_webrtc_datagrams_sent", "Datagrams sent.", value=udp.sent)
        yield CounterMetricFamily(
            "catnap_webrtc_checks_verified",
            "STUN messages whose HMAC was computed.",
            value=ports.agents.verified,
        )
        dropped = CounterMetricFamily(
            "catnap_webrtc_datagrams_dropped", "Datagrams thrown away, by reason.", labels=["reason"]
        )
        for reason, count in ports.agents.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped
