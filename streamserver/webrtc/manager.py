"""Owns the UDP port, all peers, and what they share."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

from aiortc import RTCIceServer
from prometheus_client import CollectorRegistry

from streamserver.logs import get_logger
from streamserver.sessions.control import may_send_legacy_input
from streamserver.sessions.model import RoomSettings, Session, SessionId

from . import aiortc_seam as seam
from .addresses import Address, host_candidates, interface_addresses, usable
from .connection import ViewerConnection
from .consent import SWEEP_INTERVAL, Stop, StopDetector
from .control_channel import ControlChannel
from .cursor import CursorBroadcast
from .egress import Egress, EgressError
from .errors import SignalError, WebRTCError
from .fan_out import FanOut
from .full_ice import FullConnection
from .ice_lite import LiteConnection
from .metrics import SessionFigures, WebRTCMetrics
from .peer import CLOSE_TIMEOUT, Peer, PeerState
from .ports import Ports
from .public_address import PublicAddressError, public_address
from .revival import revive
from .sight import CameraLike, SightSlot
from .signaling import AudioRequest, IceServer, Provide, VideoRequest, VideoSelector
from .surroundings import CaptureLike, DesktopLike
from .voice import MicrophoneLike, VoiceSlot

if TYPE_CHECKING:
    from aioice import Candidate

    from streamserver.config.media_settings import WebRTCSettings
    from streamserver.sessions.manager import SessionManager

log = get_logger("webrtc")


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
        *,
        legacy: bool = False,
        microphone: MicrophoneLike | None = None,
        camera: CameraLike | None = None,
    ) -> None:
        """`legacy`: whether viewers may be clients of neko's version 2; both devices: the browser's."""
        self._voices = VoiceSlot(microphone)
        self._sights = SightSlot(camera)
        self._legacy = legacy
        self._settings = settings
        self._capture = capture
        self._sessions = sessions
        self._desktop = desktop
        self._ports: Ports | None = None
        self._public: Address | None = None
        self._asking: asyncio.Task[None] | None = None
        self._fan_out = FanOut()
        self._peers: set[Peer] = set()
        self._figures: dict[SessionId, SessionFigures] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._reviver: asyncio.Task[None] | None = None
        self._cursor: CursorBroadcast | None = None
        self.egress = Egress(capture, self._fan_out, self._full_connection)
        self._room_unsubscribe = sessions.events.settings_changed.subscribe(self._room_changed)
        self._unsubscribe = sessions.events.deleted.subscribe(self._session_deleted)
        registry.register(WebRTCMetrics(self._figures.items, lambda: self._ports))

    @property
    def port(self) -> int:
        """The UDP port in use; 0 before `start`."""
        return self._ports.udp.port if self._ports is not None else 0

    @property
    def tcp_port(self) -> int:
        """The TCP port in use; 0 before `start`, and where there is none."""
        return self._ports.tcp.port if self._ports is not None and self._ports.tcp is not None else 0

    @property
    def video_ids(self) -> list[str]:
        """Ids of the video streams to choose among, best first."""
        return list(self._capture.video_ids)

    @property
    def takes(self) -> list[str]:
        """What viewers may send for pages: audio (a microphone), video (a camera)."""
        there = {"audio": self._voices.is_there, "video": self._sights.is_there}
        return [kind for kind, is_there in there.items() if is_there]

    async def start(self) -> None:
        """Open the ports.

        Raises:
            PortError: it cannot be had.
            SeamError: aiortc is not the one we were built on.
        """
        seam.verify()
        if self._settings.icelite:
            self._ports = Ports.bind(self._settings.udpmux, self._settings.tcpmux)
            await self._ports.start()
            told = list(dict.fromkeys(candidate.host for candidate in self._candidates(self._ports)))
            log.info("viewers connect by UDP", port=self.port, tcp_port=self.tcp_port, addresses=told)
        else:
            log.info("viewers connect by full ICE", ports=str(self._settings.epr or "any"))
        if self._settings.ip_retrieval_url and not self._settings.nat1to1:
            self._asking = asyncio.create_task(self._ask_public_address(), name="webrtc public address")
        self.egress.set_paused(self._sessions.room.private_mode)
        whip = self._settings.whip
        if whip.url:
            try:
                self.egress.start(whip.url, whip.token.get_secret_value(), whip.video)
            except EgressError as error:
                log.error("the room is not published", reason=f"webrtc.whip.video: {error}")
        self._cursor = CursorBroadcast(self._desktop, self._open_channels)
        self._sweeper = asyncio.create_task(self._sweep(), name="webrtc consent sweep")

    async def stop(self) -> None:
        """Close all peers and give the port back."""
        self._unsubscribe()
        self._room_unsubscribe()
        await self.egress.stop()
        for peer in tuple(self._peers):
            peer.close("shutdown")
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT + 1)
        for task in (self._sweeper, self._reviver, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        await self._voices.close()
        await self._sights.close()
        self._fan_out.close()
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
        if self._ports is not None:
            self._ports.close()
            self._ports = None

    async def create_peer(self, session: Session, video: VideoRequest, audio: AudioRequest) -> Provide:
        """Make the session's WebRTC connection, in the place of the one it had, and return our offer.

        Raises:
            SignalError: there is no such stream, or the session ended meanwhile.
        """
        if self._asking is not None and not self._asking.done():
            await asyncio.wait((self._asking,))
        if self._cursor is None:
            raise WebRTCError("create_peer before start or after stop")
        peer = Peer(
            session,
            self._capture,
            self._desktop,
            self._new_connection(),
            self._fan_out,
            video=video,
            audio=audio,
            moved=self._cursor.moved,
            changed=self._peer_changed,
            spawn=self._spawn,
            follows_network=self._settings.estimator.enabled and not self._settings.estimator.passive,
            voices=self._voices,
            sights=self._sights,
            may_send_legacy_input=self._may_send_legacy_input if self._legacy else None,
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

    def _new_connection(self) -> ViewerConnection:
        if self._ports is not None:
            return LiteConnection(self._ports.agents, self._candidates(self._ports))
        return self._full_connection()

    def _full_connection(self) -> FullConnection:
        servers = [
            RTCIceServer(
                list(server.urls), server.username or None, server.credential.get_secret_value() or None
            )
            for server in self._settings.iceservers.backend
        ]
        public = [ipaddress.ip_address(address) for address in self._settings.nat1to1]
        return FullConnection(servers, self._settings.epr, public)

    def _candidates(self, ports: Ports) -> list[Candidate]:
        """List the addresses of now: networks come and go while a server runs."""
        if self._settings.nat1to1:
            told = [ipaddress.ip_address(address) for address in self._settings.nat1to1]
        else:
            told = usable(interface_addresses(), ipv6=ports.udp.ipv6)
            if self._public is not None and self._public not in told:
                told.insert(0, self._public)
        return host_candidates(told, ports.udp.port, ports.tcp.port if ports.tcp is not None else None)

    async def _ask_public_address(self) -> None:
        try:
            self._public = await public_address(self._settings.ip_retrieval_url)
        except PublicAddressError as error:
            log.warning(
                "the public address is not known; viewers are told the interfaces' addresses: "
                "set webrtc.nat1to1 if they do not reach these",
                reason=str(error),
            )
        else:
            log.info("public address", address=str(self._public))

    def _ice_servers(self) -> list[IceServer]:
        return [
            IceServer(
                urls=list(server.urls),
                username=server.username or None,
                credential=server.credential.get_secret_value() or None,
            )
            for server in self._settings.iceservers.frontend
        ]

    def _may_send_legacy_input(self, session: Session) -> bool:
        return may_send_legacy_input(session, self._sessions.controller, self._sessions.room)

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

    def _room_changed(self, _actor: Session | None, new: RoomSettings, _old: RoomSettings) -> None:
        self.egress.set_paused(new.private_mode)

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
        self.egress.server_stopped(stop.seconds)
        waiting = tuple(self._peers)
        for peer in waiting:
            peer.connection.forgive(stop.counted)
            peer.video.flow.request_keyframe()
        if self._reviver is not None:
            self._reviver.cancel()
        self._reviver = asyncio.create_task(revive(waiting, self._replace), name="webrtc revive")

    async def _replace(self, peer: Peer) -> None:
        """Offer the peer's session a connection in its place, with the same picture and sound."""
        session = peer.session
        if session.media is not peer:
            return
        video, audio = peer.video_status, peer.audio_status
        provide = await self.create_peer(
            session,
            VideoRequest(disabled=video.disabled, selector=VideoSelector(id=video.id), auto=video.auto),
            AudioRequest(disabled=audio.disabled),
        )
        session.send("signal/provide", provide.model_dump(mode="json", exclude_none=True))
        session.send("signal/video", provide.video.model_dump(mode="json"))
        session.send("signal/audio", provide.audio.model_dump(mode="json"))


__all__ = ["SignalError", "WebRTCManager"]
