"""What happens to sessions, as messages to clients: who hears of it, and in neko's order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import JsonValue

from streamserver.desktop.browser import BrowserState
from streamserver.desktop.errors import DesktopError
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import RoomSettings, Session
from streamserver.websocket.peer import PartlyEncoded, encode_text
from streamserver.websocket.ports import BroadcastPort, DesktopPort, WebRTCPort

if TYPE_CHECKING:  # it loads codecs, which not every command needs
    from streamserver.capture.broadcast import BroadcastStatus


class Broadcaster:
    """Listens to the signals of the sessions and of the browser, from `attach` until `detach`."""

    def __init__(
        self,
        sessions: SessionManager,
        desktop: DesktopPort,
        webrtc: WebRTCPort,
        broadcast: BroadcastPort,
        *,
        screencast: bool,
    ) -> None:
        """`screencast`: whether there are pictures of the screen for those who can show no video."""
        self._screencast = screencast
        self._broadcast = broadcast
        self._sessions = sessions
        self._desktop = desktop
        self._webrtc = webrtc
        self._unsubscribe: list[Callable[[], None]] = []
        self._closing: set[asyncio.Future[None]] = set()
        self._texts: dict[Session, tuple[dict[str, JsonValue], str]] = {}

    def attach(self) -> None:
        """Begin to listen; before plugins do, so that `system/init` is the first thing a client hears."""
        events = self._sessions.events
        self._unsubscribe = [
            events.created.subscribe(self._created),
            events.deleted.subscribe(self._deleted),
            events.connected.subscribe(self._connected),
            events.disconnected.subscribe(self._state),
            events.state_changed.subscribe(self._state),
            events.media_closed.subscribe(self._media_closed),
            events.profile_changed.subscribe(self._profile_changed),
            events.controller_changed.subscribe(self._controller_changed),
            events.settings_changed.subscribe(self._settings_changed),
            self._desktop.on_browser_state.subscribe(self._browser_changed),
            self._broadcast.on_changed.subscribe(self._broadcast_changed),
            self._desktop.file_chooser.on_changed.subscribe(self._chooser_changed),
            self._desktop.clipboard.on_changed.subscribe(self._clipboard_changed),
        ]

    def detach(self) -> None:
        """Listen no more."""
        while self._unsubscribe:
            self._unsubscribe.pop()()

    def init_payload(self, session: Session) -> dict[str, object]:
        """Return what a client is told first: everything it needs to draw the room."""
        screen = self._desktop.screen
        others = [(other, other.to_wire()) for other in self._sessions.list()]
        payload: dict[str, JsonValue] = {
            "session_id": session.id,
            "control_host": _control("", self._sessions.controller),
            "screen_size": {"width": screen.width, "height": screen.height, "rate": screen.rate},
            "sessions": {other.id: wire for other, wire in others},
            "settings": self._sessions.room.to_wire(),
            "touch_events": self._desktop.touch.reaches_pages,
            "screencast_enabled": self._screencast,
            "webrtc": {"videos": list(self._webrtc.video_ids), "takes": list(self._webrtc.takes)},
        }
        texts = [self._text(other, wire) for other, wire in others]
        return PartlyEncoded(payload, "sessions", f"{{{','.join(texts)}}}")

    def _text(self, session: Session, wire: dict[str, JsonValue]) -> str:
        """Return key and value of a session in JSON, made once per change of it."""
        known = self._texts.get(session)
        if known is None or known[0] is not wire:
            known = self._texts[session] = wire, encode_text({session.id: wire})[1:-1]
        return known[1]

    def admin_payload(self) -> dict[str, JsonValue]:
        """Return what an admin is told besides."""
        sizes = self._desktop.screen_configurations()
        return {
            "screen_sizes_list": [{"width": s.width, "height": s.height, "rate": s.rate} for s in sizes],
            "broadcast_status": _status(self._broadcast.status),
        }

    def _connected(self, session: Session) -> None:
        session.send("system/init", self.init_payload(session))
        if session.profile.is_admin:
            session.send("system/admin", self.admin_payload())
            self._sessions.lift_protection(session)
        self._state(session)
        if self._desktop.browser_state is not BrowserState.RUNNING:
            session.send("browser/state", {"state": self._desktop.browser_state.value})
        controller = self._sessions.controller
        if self._desktop.file_chooser.is_open and controller is not None:
            session.send("file_chooser_dialog/opened", {"id": controller.id})

    def _state(self, session: Session) -> None:
        self._sessions.broadcast("session/state", {"id": session.id, **session.state.to_wire()})

    def _created(self, session: Session) -> None:
        self._sessions.broadcast("session/created", session.to_wire())

    def _deleted(self, session: Session) -> None:
        self._texts.pop(session, None)
        self._sessions.broadcast("session/deleted", {"id": session.id})

    def _media_closed(self, session: Session) -> None:
        session.send("signal/close", None)

    def _profile_changed(self, session: Session, new: MemberProfile, _old: MemberProfile) -> None:
        self._sessions.broadcast("session/profile", {"id": session.id, **new.to_wire()})

    def _controller_changed(self, actor: Session, controller: Session | None) -> None:
        # whoever controlled before must not leave keys down for the next one
        self._desktop.touch.reset()
        self._desktop.input.reset()
        self._desktop.keyboard.unlock()
        if self._desktop.file_chooser.is_open:
            self._close_chooser()
        self._sessions.broadcast("control/host", _control(actor.id, controller))

    def _settings_changed(self, actor: Session | None, new: RoomSettings, _old: RoomSettings) -> None:
        self._sessions.broadcast("system/settings", {"id": actor.id if actor else "", **new.to_wire()})

    def _broadcast_changed(self, status: BroadcastStatus) -> None:
        self._sessions.broadcast(
            "broadcast/status", _status(status), to=lambda session: session.profile.is_admin
        )

    def _chooser_changed(self, is_open: bool) -> None:
        controller = self._sessions.controller
        if not is_open:
            self._sessions.broadcast("file_chooser_dialog/closed", {"id": ""})
        elif controller is not None:
            self._sessions.broadcast("file_chooser_dialog/opened", {"id": controller.id})
        else:
            self._close_chooser()  # nobody is there to answer

    def _close_chooser(self) -> None:
        task = asyncio.ensure_future(self._cancel_chooser())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _cancel_chooser(self) -> None:
        with contextlib.suppress(DesktopError):
            await self._desktop.file_chooser.cancel()

    def _clipboard_changed(self, text: str) -> None:
        """Tell whoever controls the browser, as what is copied in it may be nobody else's business."""
        controller = self._sessions.controller
        if controller is not None and controller.profile.can_access_clipboard:
            controller.send("clipboard/updated", {"text": text})

    def _browser_changed(self, state: BrowserState) -> None:
        """Tell everybody why the picture is empty for a moment; not neko's, whose clients ignore it."""
        self._sessions.broadcast("browser/state", {"state": state.value})


def _status(status: BroadcastStatus) -> dict[str, JsonValue]:
    return {"is_active": status.is_active, **({"url": status.url} if status.url else {})}


def _control(actor_id: str, controller: Session | None) -> dict[str, JsonValue]:
    """Return neko's shape: `id` is who brought it about, `host_id` who has control."""
    payload: dict[str, JsonValue] = {"id": actor_id, "has_host": controller is not None}
    if controller is not None:
        payload["host_id"] = controller.id
    return payload
