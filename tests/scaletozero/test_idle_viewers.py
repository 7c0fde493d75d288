"""Hidden viewers: who is asked to let go, when, and who never is."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.scaletozero.idle_viewers import IDLE, REPORT, VISIBILITY, HiddenViewers, IdleViewers
from streamserver.config.settings import SessionSettings
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import ABSENT, Session, SessionId
from tests.scaletozero.server_parts import PROFILE, Socket
from tests.waiting import until

ANN, BOB = SessionId("ann"), SessionId("bob")
NEVER = float("-inf")


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Page(Socket):
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, object]] = []

    def send(self, event: str, payload: object = ABSENT) -> None:
        self.told.append((event, payload))


class Events:
    """The WebSocket manager's part."""

    def __init__(self) -> None:
        self.handlers: list[Callable[[Session, str, object], bool]] = []

    def add_handler(self, handler: Callable[[Session, str, object], bool]) -> Callable[[], None]:
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)

    def say(self, session: Session, payload: object) -> None:
        assert [handler(session, VISIBILITY, payload) for handler in self.handlers] == [True]


def test_a_viewer_is_named_once_when_hidden_and_quiet_for_long_enough() -> None:
    inputs = {ANN: NEVER, BOB: 130.0}
    hidden = HiddenViewers(60, inputs.__getitem__)
    hidden.hid(ANN, 100)
    hidden.hid(BOB, 100)
    assert hidden.next_look() == 160
    assert hidden.take_quiet(159.9) == {}
    assert hidden.take_quiet(160) == {ANN: 60}
    assert hidden.take_quiet(160) == {}
    assert hidden.next_look() == 190  # its input begins the time anew
    hidden.seen(BOB)
    assert hidden.next_look() is None
    assert hidden.take_quiet(1e9) == {}


def test_a_clock_that_jumps_over_a_stop_ends_the_time_and_one_that_stands_still_does_not() -> None:
    hidden = HiddenViewers(60, lambda viewer: NEVER)
    hidden.hid(ANN, 100)
    assert hidden.take_quiet(100) == {}  # a machine that was paused for a day
    assert hidden.take_quiet(100 + 86_400) == {ANN: 86_400}  # a process that was frozen for a day


@given(st.lists(st.tuples(st.sampled_from(["hid", "seen", "input", "look"]), st.floats(0, 100))))
def test_nobody_in_sight_or_active_is_ever_named(steps: list[tuple[str, float]]) -> None:
    now, last_input, hidden_since = 0.0, NEVER, None
    hidden = HiddenViewers(50, lambda viewer: last_input)
    for step, seconds in steps:
        now += seconds
        match step:
            case "hid":
                hidden.hid(ANN, now)
                hidden_since = now if hidden_since is None else hidden_since
            case "seen":
                hidden.seen(ANN)
                hidden_since = None
            case "input":
                last_input = now
            case "look":
                due = hidden_since is not None and now >= max(hidden_since, last_input) + 50
                assert bool(hidden.take_quiet(now)) == due
                hidden_since = None if due else hidden_since


@pytest.fixture
async def sessions() -> AsyncIterator[SessionManager]:
    manager = SessionManager(SessionSettings(disconnect_delay=0.2))
    await manager.start()
    yield manager
    await manager.stop()


async def join(sessions: SessionManager, name: str = "ann") -> tuple[Session, Page]:
    session, _ = sessions.create(name, PROFILE)
    page = Page()
    await sessions.connect(session, page)
    return session, page


async def test_a_hidden_page_is_asked_once_and_never_closed(sessions: SessionManager) -> None:
    events, clock = Events(), Clock()
    idle = IdleViewers(sessions, events, 0.05, clock=clock)
    idle.attach()
    session, page = await join(sessions)
    assert page.told == [(REPORT, {"idle_after": 0.05})]
    events.say(session, {"hidden": True})
    clock.now += 0.05
    await until(lambda: len(page.told) == 2, within=5, what="the page is asked to let go")
    assert page.told[1][0] == IDLE
    clock.now += 3600
    events.say(session, {"hidden": False})
    assert len(page.told) == 2
    assert page.closed is None
    idle.detach()
    assert events.handlers == []


async def test_input_and_a_new_connection_begin_the_time_anew(sessions: SessionManager) -> None:
    events, clock = Events(), Clock()
    idle = IdleViewers(sessions, events, 60, clock=clock)
    idle.attach()
    session, page = await join(sessions)
    events.say(session, {"hidden": True})
    clock.now += 59
    session.last_input = clock.now
    clock.now += 59
    events.say(session, {"hidden": True})  # hidden still: looks again
    assert len(page.told) == 1
    newer = Page()
    await sessions.connect(session, newer)
    clock.now += 3600
    other, _ = await join(sessions, "bob")
    events.say(other, {"hidden": False})
    assert [event for event, _ in newer.told] == [REPORT]
    idle.detach()


@pytest.mark.parametrize("payload", [ABSENT, None, [], {}, {"hidden": "yes"}, {"hidden": 1}, "hidden"])
async def test_a_report_that_is_none_changes_nothing(sessions: SessionManager, payload: object) -> None:
    events, clock = Events(), Clock()
    idle = IdleViewers(sessions, events, 1, clock=clock)
    idle.attach()
    session, page = await join(sessions)
    events.say(session, payload)
    clock.now += 3600
    events.say(session, payload)
    assert len(page.told) == 1
    idle.detach()


async def test_those_who_are_connected_at_the_start_are_asked_and_those_who_leave_forgotten(
    sessions: SessionManager,
) -> None:
    session, page = await join(sessions)
    events, clock = Events(), Clock()
    idle = IdleViewers(sessions, events, 0.01, clock=clock)
    idle.attach()
    assert page.told == [(REPORT, {"idle_after": 0.01})]
    events.say(session, {"hidden": True})
    sessions.socket_closed(session, page, 1000)
    clock.now += 1
    await asyncio.sleep(0.05)
    assert len(page.told) == 1
    idle.detach()
