"""Any order of logins, connects, losses, hooks and changes keeps what others rely on."""

import asyncio
from collections.abc import Awaitable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from streamserver.sessions.control import request_control
from streamserver.sessions.errors import ConnectRefusedError, SessionError
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session, SessionId
from tests.sessions.doubles import FakePeer, FakeSocket, FakeTime, admin, make_manager, user

NAMES = st.sampled_from(["ann", "bob", "cid"])
MOSTLY = st.sampled_from([True, True, True, False])
CHANGES = st.sampled_from(["private_mode", "implicit_hosting", "merciful_reconnect"])
CODES = st.sampled_from([1000, 1001, 1005, 1006, None])


class SessionsMachine(RuleBasedStateMachine):
    """Holds the manager to its signals: what they tell must add up, whoever listens."""

    sockets: Bundle[tuple[Session, FakeSocket]] = Bundle("sockets")

    @initialize(merciful=MOSTLY, protection=st.booleans(), hooks_wait=MOSTLY)
    def begin(self, merciful: bool, protection: bool, hooks_wait: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.time = FakeTime()
        self.hooks_wait = hooks_wait
        self.open_hooks: list[asyncio.Event] = []
        self.hooked: set[Session] = set()
        self.broken: list[str] = []
        self.held: set[Session] = set()
        self.announced: set[Session] = set()
        self.ended: set[Session] = set()
        self.connects: set[asyncio.Task[None]] = set()
        self.manager: SessionManager = self.run(self._make(merciful, protection))

    async def _make(self, merciful: bool, protection: bool) -> SessionManager:
        manager = make_manager(
            self.time, merciful_reconnect=merciful, control_protection=protection, max_sessions=2
        )
        manager.events.connecting.subscribe(self._connecting)
        manager.events.connected.subscribe(self._connected)
        manager.events.disconnected.subscribe(self._disconnected)
        manager.events.deleted.subscribe(self._deleted)
        return manager

    def run(self, awaitable: Awaitable[SessionManager]) -> SessionManager:
        async def awaited() -> SessionManager:
            return await awaitable

        return self.loop.run_until_complete(awaited())

    def spin(self) -> None:
        """Let everything happen that can without another step of ours."""

        async def turns() -> None:
            for _ in range(30):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def expect(self, truth: bool, what: str) -> None:
        """Note a broken promise; an assert would be lost, as signals contain what listeners raise."""
        if not truth:
            self.broken.append(what)

    async def _connecting(self, session: Session) -> None:
        self.expect(session not in self.ended, "connecting after deleted")
        self.held.add(session)
        if self.hooks_wait:
            gate = asyncio.Event()
            self.open_hooks.append(gate)
            self.expect(session not in self.hooked, "two connections of a session taken at once")
            self.hooked.add(session)
            try:
                await gate.wait()
            finally:
                self.hooked.discard(session)

    def _connected(self, session: Session) -> None:
        self.expect(session in self.held, "connected without connecting")
        self.expect(session.is_connected and session.socket is not None, "connected without a socket")
        self.announced.add(session)

    def _disconnected(self, session: Session) -> None:
        self.expect(session in self.held, "disconnected twice, or without connecting")
        self.expect(not session.is_connected and session.socket is None, "disconnected but connected")
        self.expect(not session.is_controller, "disconnected in control")
        self.expect(session not in self.hooked, "disconnected under the feet of a hook")
        self.held.discard(session)
        self.announced.discard(session)

    def _deleted(self, session: Session) -> None:
        self.expect(session not in self.held, "deleted before disconnected")
        self.expect(session not in self.ended, "deleted twice")
        self.ended.add(session)

    def _pick(self, name: str) -> Session | None:
        return self.manager.get(SessionId(name))

    @rule(name=NAMES, is_admin=st.booleans())
    def log_in(self, name: str, is_admin: bool) -> None:
        try:
            session, token = self.manager.create(name, admin() if is_admin else user())
        except SessionError:
            return
        assert self.manager.by_token(token) is session

    @rule(target=sockets, name=NAMES)
    def connect(self, name: str) -> MultipleResults[tuple[Session, FakeSocket]]:
        session = self._pick(name)
        if session is None:
            return multiple()
        socket = FakeSocket()

        async def attempt() -> None:
            try:
                await self.manager.connect(session, socket)
            except ConnectRefusedError:
                assert session.socket is not socket

        task = self.loop.create_task(attempt())
        self.connects.add(task)
        task.add_done_callback(self.connects.discard)
        self.spin()
        return multiple((session, socket))

    @rule()
    def hooks_finish(self) -> None:
        while self.open_hooks:
            self.open_hooks.pop().set()
            self.spin()

    @rule(which=sockets, code=CODES)
    def socket_closes(self, which: tuple[Session, FakeSocket], code: int | None) -> None:
        self.manager.socket_closed(*which, code)
        self.spin()

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.9, 5.1]))
    def time_passes(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.spin()

    @rule(name=NAMES, how=st.sampled_from(["delete", "disconnect"]))
    def end(self, name: str, how: str) -> None:
        if self._pick(name) is not None:
            getattr(self.manager, how)(name)
            self.spin()

    @rule(name=NAMES, can_connect=st.booleans(), can_host=st.booleans(), is_admin=st.booleans())
    def change_profile(self, name: str, can_connect: bool, can_host: bool, is_admin: bool) -> None:
        session = self._pick(name)
        if session is not None:
            base = admin if is_admin else user
            self.manager.update_profile(session, base(can_connect=can_connect, can_host=can_host))
            self.spin()

    @rule(
        change=st.sampled_from(["private_mode", "implicit_hosting", "merciful_reconnect"]), on=st.booleans()
    )
    def change_room(self, change: str, on: bool) -> None:
        self.manager.update_room(None, **{change: on})

    @rule(name=NAMES)
    def request_control(self, name: str) -> None:
        session = self._pick(name)
        if session is not None and session.is_connected:
            request_control(self.manager, session)

    @rule(name=NAMES, watching=st.booleans())
    def watch(self, name: str, watching: bool) -> None:
        session = self._pick(name)
        if session is None:
            return
        if session.media is None:
            self.manager.set_media(session, FakePeer())
        assert session.media is not None
        self.manager.set_watching(session, session.media, watching)

    @invariant()
    def what_was_told_adds_up(self) -> None:
        if not hasattr(self, "manager"):
            return
        assert not self.broken
        listed = self.manager.list()
        connected = {session for session in listed if session.is_connected}
        assert self.held - self.hooked == connected - self.hooked
        assert self.announced <= connected
        for session in listed:
            assert session.socket is None or session.is_connected
            assert session not in self.ended
        stats = self.manager.stats()
        assert stats.total_users + stats.total_admins == len(connected)

    @invariant()
    def one_session_controls(self) -> None:
        if not hasattr(self, "manager"):
            return
        controller = self.manager.controller
        assert [s for s in self.manager.list() if s.is_controller] == ([controller] if controller else [])
        if controller is not None:
            room = self.manager.room
            assert controller.is_connected
            assert controller.profile.can_host
            assert controller.profile.is_admin or not (room.private_mode or room.locked_controls)

    @invariant()
    def protected_controls_are_locked_without_an_admin(self) -> None:
        if not hasattr(self, "manager") or not self.manager.room.control_protection or self.hooked:
            return
        here = any(s.is_connected and s.profile.is_admin for s in self.manager.list())
        assert self.manager.room.locked_controls or here

    def teardown(self) -> None:
        if not hasattr(self, "manager"):
            return
        self.hooks_finish()
        self.time.advance(60)
        self.spin()
        assert all(s.socket for s in self.manager.list() if s.is_connected), "the lost were given up"
        self.manager.shutdown()
        self.spin()
        assert not self.connects, "every connect came to an end"
        assert not self.broken
        assert not self.held, "everything that was held was let go of"
        assert self.manager.controller is None
        self.loop.close()


TestSessions = SessionsMachine.TestCase
TestSessions.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
