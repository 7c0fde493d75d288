"""The plugin: connects the shared directory to sessions, WebSocket events and routes."""

from __future__ import annotations

import asyncio
import contextlib

from pydantic import BaseModel, JsonValue

from plugins.filetransfer.directory import SharedDirectory
from plugins.filetransfer.listing import Listing
from plugins.filetransfer.messages import ENABLED, UPDATE, Rules, update
from plugins.filetransfer.routes import router
from plugins.filetransfer.settings import FileTransferSettings
from streamserver.logs import get_logger
from streamserver.members.profile import MemberProfile
from streamserver.plugins.contract import Managers, PluginError
from streamserver.plugins.permission import is_permitted
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Absent, RoomSettings, Session

log = get_logger("filetransfer")


class FileTransferPlugin:
    """Lists, sends and receives the files of one directory."""

    name = "filetransfer"
    settings_model: type[BaseModel] = FileTransferSettings

    def __init__(self) -> None:
        self._undo = contextlib.AsyncExitStack()
        self._transfer: FileTransfer | None = None

    async def start(self, managers: Managers, settings: BaseModel) -> None:
        """Make the directory, and begin; when it is off, clients are only told so."""
        assert isinstance(settings, FileTransferSettings)
        try:
            directory = await asyncio.to_thread(_prepared, settings)
        except OSError as error:
            raise PluginError(
                f"filetransfer.dir {str(settings.dir)!r} cannot be used: {error}; name another directory, or "
                "set filetransfer.enabled to false"
            ) from error
        transfer = self._transfer = FileTransfer(managers.sessions, directory, settings)
        self._undo.push_async_callback(transfer.stop)
        await transfer.start()
        self._undo.callback(managers.websocket.add_handler(transfer.hear))
        managers.api.add_router(
            "/filetransfer", router(directory, settings, transfer.enabled_for, transfer.changed)
        )

    async def shutdown(self) -> None:
        """Stop watching; transfers that run are the listener's to end."""
        await self._undo.aclose()


class FileTransfer:
    """Who is shown which list, and when."""

    def __init__(
        self, sessions: SessionManager, directory: SharedDirectory, settings: FileTransferSettings
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._rules = Rules(
            root_dir=str(directory.path),
            user_download=settings.user_download,
            user_upload=settings.user_upload,
            user_delete=settings.user_delete,
        )
        self._listing = Listing(directory, self._tell_all, self._tell)
        self._undo = contextlib.ExitStack()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to tell people."""
        if self._settings.enabled:
            await self._listing.start()
        events = self._sessions.events
        self._undo.callback(events.connected.subscribe(self._greet))
        self._undo.callback(events.settings_changed.subscribe(self._room_changed))
        self._undo.callback(events.profile_changed.subscribe(self._profile_changed))

    async def stop(self) -> None:
        """Tell nobody any more."""
        self._undo.close()
        if self._timer is not None:
            self._timer.cancel()
        await self._listing.stop()

    def enabled_for(self, session: Session) -> bool:
        """Whether somebody may use the file transfer at all."""
        return self._settings.enabled and is_permitted(ENABLED, session, self._sessions.room)

    def hear(self, session: Session, event: str, payload: JsonValue | Absent) -> bool:
        """Take `filetransfer/update`: read the list again, and answer in any case."""
        if event != UPDATE:
            return False
        if self.enabled_for(session):
            self._listing.ask(session)
        else:
            self._tell(session)
        return True

    def changed(self) -> None:
        """Files came or went."""
        self._listing.changed()

    def _greet(self, session: Session) -> None:
        self._tell(session)
        if self._timer is None and self._settings.enabled and self._settings.refresh_interval:
            self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.refresh_interval, self._look)

    def _look(self) -> None:
        """Read the list again, where the kernel tells no changes (network file systems), for who is here."""
        self._timer = None
        if any(session.is_connected for session in self._sessions.list()):
            self._listing.changed()
            self._wait()

    def _tell(self, session: Session) -> None:
        session.send(UPDATE, update(self._rules, self._listing.files, enabled=self.enabled_for(session)))

    def _tell_all(self) -> None:
        files = self._listing.files
        self._sessions.broadcast(UPDATE, update(self._rules, files, enabled=True), to=self.enabled_for)
        hidden = update(self._rules, files, enabled=False)
        self._sessions.broadcast(UPDATE, hidden, to=lambda session: not self.enabled_for(session))

    def _room_changed(self, _: Session | None, new: RoomSettings, old: RoomSettings) -> None:
        for session in self._sessions.list():
            if is_permitted(ENABLED, session, new) != is_permitted(ENABLED, session, old):
                self._tell(session)

    def _profile_changed(self, session: Session, new: MemberProfile, old: MemberProfile) -> None:
        if (new.is_admin, new.plugins) != (old.is_admin, old.plugins):
            self._tell(session)


def _prepared(settings: FileTransferSettings) -> SharedDirectory:
    """Return the directory; while file transfer is off nothing is made and nothing is looked at."""
    return SharedDirectory.prepare(settings.dir) if settings.enabled else SharedDirectory(settings.dir)
