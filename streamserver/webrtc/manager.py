"""Owns the UDP port, all peers, and what they share."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from streamserver.logs import get_logger
from streamserver.sessions.model import Session, SessionId

from . import aiortc_seam as seam
from .addresses import host_candidates, interface_addresses, usable
from .consent import SWEEP_INTERVAL, Stop, StopDetector
from .control_channel import ControlChannel
from .cursor import CursorBroadcast
from .errors import SignalError, WebRTCError
from .fan_out import FanOut
from .metrics import SessionFigures, WebRTCMetrics
from .peer import CLOSE_TIMEOUT, Peer, PeerState
from .signaling import AudioRequest, IceServer, Provide, VideoRequest
from .surroundings import CaptureLike, DesktopLike
from .udp_mux import UdpMux

if TYPE_CHECKING:
    from aioice import Candidate

    from streamserver.config.media_settings import WebRTCSettings
    from streamserver.sessions.manager import SessionManager

log = get_logger("webrtc")

REVIVE_INTERVAL = 0.25
"""Seconds between two rounds of checks of our own after we were stopped."""

REVIVE_FOR = 10.0
"""Seconds after which we leave it to the viewers to come back."""


class WebRTCManager:
    """Makes peers and ends them; knows which of them watch.

    Everything is used on the event loop.
    """

    def __init__(
        self,
        settings: WebRTCSettings,
        capture: CaptureLike,
        sessions: SessionManager,
        desktop: DesktopLike,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._capture = capture
        self._sessions = sessions
        self._desktop = desktop
        self._mux: UdpMux | None = None
        self._fan_out = FanOut()
        self._peers: set[Peer] = set()
        self._figures: dict[SessionId, SessionFigures] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._reviver: asyncio.Task[None] | None = None
        self._cursor: CursorBroadcast | None = None
        self._unsubscribe = sessions.events.deleted.subscribe(self._session_deleted)
        registry.register(WebRTCMetrics(self._figures.items, lambda: self._mux))

    @property
    def port(self) -> int:
        """The UDP port in use; 0 before `start`."""
        return self._mux.port if self._mux is not None else 0

    @property
    def video_ids(self) -> list[str]:
        """Ids of the video streams, best first."""
        return list(self._capture.videos)

    async def start(self) -> None:
        """Open the port.

        Raises:
            PortError: it cannot be had.
            SeamError: aiortc is not the one we were built on.
        """
        seam.verify()
        if not self._settings.icelite:
            log.warning("webrtc.icelite is false, but ICE-lite is used: it is the only way for now")
        self._mux = UdpMux.bind(self._settings.udpmux)
        self._mux.start()
        self._cursor = CursorBroadcast(self._desktop, self._open_channels)
        self._sweeper = asyncio.create_task(self._sweep(), name="webrtc consent sweep")
        addresses = [candidate.host for candidate in self._candidates(self._mux)]
        log.info("viewers connect by UDP", port=self.port, addresses=addresses)

    async def stop(self) -> None:
        """Close all peers and give the port back."""
        self._unsubscribe()
        for peer in tuple(self._peers):
            peer.close("shutdown")
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT + 1)
        for task in (self._sweeper, self._reviver):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        self._fan_out.close()
        if self._cursor is not None:
            self._cursor.close()
        if self._mux is not None:
            self._mux.close()
            self._mux = None

    async def create_peer(self, session: Session, video: VideoRequest, audio: AudioRequest) -> Provide:
        """Make the session's WebRTC connection, in the place of the one it had, and return our offer.

        Raises:
            SignalError: there is no such stream, or the session ended meanwhile.
        """
        if self._mux is None or self._cursor is None:
            raise WebRTCError("create_peer before start or after stop")
        peer = Peer(
            session,
            self._capture,
            self._desktop,
            self._mux,
            self._candidates(self._mux),
            self._fan_out,
            video=video,
            audio=audio,
            moved=self._cursor.moved,
            changed=self._peer_changed,
            spawn=self._spawn,
        )
        self._peers.add(peer)
        self._sessions.set_media(session, peer)  # closes the one before
        if session.media is peer:
            self._count_new(peer)
        try:
            sdp = await peer.offer()
        except BaseException:
            peer.close("no offer could be made")
            raise
        return Provide(
            sdp=sdp,
            iceservers=self._ice_servers(),
            video=peer.video_status,
            audio=peer.audio_status,
        )

    def cursor_moved(self, session: Session, x: int, y: int) -> None:
        """Show the others where the session moved the pointer, by other means than its data channel (px)."""
        if self._cursor is not None:
            self._cursor.moved(session, x, y)

    def _candidates(self, mux: UdpMux) -> list[Candidate]:
        """List the addresses of now: networks come and go while a server runs."""
        if self._settings.nat1to1:
            mapped = [ipaddress.ip_address(address) for address in self._settings.nat1to1]
            return host_candidates(mapped, mux.port)
        return host_candidates(usable(interface_addresses(), ipv6=mux.ipv6), mux.port)

    def _ice_servers(self) -> list[IceServer]:
        return [
            IceServer(
                urls=list(server.urls),
                username=server.username or None,
                credential=server.credential.get_secret_value() or None,
            )
            for server in self._settings.iceservers.frontend
        ]

    def _open_channels(self) -> Iterator[ControlChannel]:
        return (peer.channel for peer in tuple(self._peers) if peer.channel.open)

    # the life of peers

    def _peer_changed(self, peer: Peer) -> None:
        session = peer.session
        figures = self._figures.get(session.id)
        if figures is not None and figures.peer is peer:
            figures.state_changes += 1
        if peer.state is PeerState.CONNECTED:
            log.info("viewer watches", session_id=session.id)
            self._sessions.set_watching(session, peer, True)
        elif peer.state is PeerState.DISCONNECTED:
            log.info("viewer is silent", session_id=session.id)
            self._sessions.set_watching(session, peer, False)
        elif peer.state is PeerState.CLOSED:
            self._peers.discard(peer)
            if session.media is peer:
                self._sessions.set_media(session, None)

    def _count_new(self, peer: Peer) -> None:
        figures = self._figures.setdefault(peer.session.id, SessionFigures())
        old = figures.peer
        if old is not None:
            figures.nacks_before += old.video.reports.nacks
            figures.sent_before.update(ice=old.connection.bytes_sent, sctp=old.channel.bytes_sent)
            figures.received_before.update(ice=old.connection.bytes_received, sctp=old.channel.bytes_received)
        figures.connections += 1
        figures.peer = peer

    def _session_deleted(self, session: Session) -> None:
        self._figures.pop(session.id, None)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # consent

    async def _sweep(self) -> None:
        """Look at every viewer once a second, and notice when it was us who were away."""
        detector = StopDetector(time.monotonic(), time.time())
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = time.monotonic()
            stop = detector.tick(now, time.time())
            if stop is not None:
                self._after_stop(stop)
            # one moment for all: a stop between these lines must not look like their silence
            for peer in tuple(self._peers):
                peer.look(now)

    def _after_stop(self, stop: Stop) -> None:
        """Forgive the silence nobody could have broken, and call the viewers back: browsers give up after 16
        s.
        """
        log.info(
            "the server was stopped for a while", seconds=round(stop.seconds, 1), viewers=len(self._peers)
        )
        waiting = set(self._peers)
        for peer in waiting:
            peer.connection.consent.forgive(stop.counted)
            peer.video.flow.request_keyframe()
        if self._reviver is not None:
            self._reviver.cancel()
        self._reviver = asyncio.create_task(self._revive(waiting), name="webrtc revive")

    async def _revive(self, waiting: set[Peer]) -> None:
        """Send checks of our own until each viewer has answered one, or for `REVIVE_FOR`.

        A check of theirs proves nothing: it may have waited for us since before they gave up.
        """
        began = time.monotonic()
        while waiting and time.monotonic() - began < REVIVE_FOR:
            for peer in tuple(waiting):
                if peer.state is PeerState.CLOSED or peer.connection.answered_since(began):
                    waiting.discard(peer)
                else:
                    peer.connection.revive()
            await asyncio.sleep(REVIVE_INTERVAL)


__all__ = ["SignalError", "WebRTCManager"]
