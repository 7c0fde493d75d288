"""The life of sessions: the order of the signals, replacement, delays and what follows from a change."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from streamserver.config.settings import SessionSettings
from streamserver.sessions.errors import (
    ConnectRefusedError,
    LoginsLockedError,
    SessionAlreadyConnectedError,
    SessionNotFoundError,
    TooManySessionsError,
)
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import API_SESSION_ID, BadRoomSettings, Session
from tests.sessions.doubles import FakePeer, FakeSocket, FakeTime, Recorder, admin, make_manager, user
from tests.waiting import until


async def connected(manager: SessionManager, session: Session) -> FakeSocket:
    socket = FakeSocket()
    await manager.connect(session, socket)
    return socket


async def test_login_gives_a_token_that_finds_the_session() -> None:
    manager = make_manager()
    session, token = manager.create("ann", user())
    assert len(token) == 64
    assert manager.by_token(token) is session
    assert manager.by_token(token[:-1] + ("a" if token[-1] != "a" else "b")) is None
    assert manager.by_token("") is None
    assert session.state.to_wire() == {"is_connected": False, "is_watching": False}


async def test_the_api_token_gives_an_admin_that_cannot_connect_and_is_not_listed() -> None:
    manager = make_manager(api_token="machine")
    session = manager.by_token("machine")
    assert session is not None
    assert session.id == API_SESSION_ID
    assert session.profile.is_admin
    assert manager.list() == []
    assert manager.get(API_SESSION_ID) is None
    with pytest.raises(ConnectRefusedError, match="connection disabled"):
        await manager.connect(session, FakeSocket())
    with pytest.raises(SessionAlreadyConnectedError):
        manager.create(API_SESSION_ID, user())


async def test_without_an_api_token_the_empty_token_is_nobodys() -> None:
    assert make_manager().by_token("") is None


async def test_connect_awaits_hooks_first_and_a_clean_close_disconnects_now() -> None:
    manager = make_manager()
    seen = Recorder(manager)
    session, _ = manager.create("ann", user())
    manager.set_controller(session, session)
    socket = await connected(manager, session)
    assert session.socket is socket
    media = FakePeer()
    manager.set_media(session, media)
    manager.socket_closed(session, socket, 1001)
    assert seen.take() == [
        ("created", "ann"),
        ("controller", "ann", "ann"),
        ("connecting", "ann"),
        ("connected", "ann"),
        ("controller", "ann", None),
        ("disconnected", "ann"),
        ("media_closed", "ann"),
    ]
    assert media.closed
    assert not session.is_connected
    assert session.state.not_connected_since
    assert session.state.connected_since is None


@pytest.mark.parametrize("code", [None, 1005, 1006, 1011, 4000])
async def test_a_lost_connection_counts_until_the_delay_is_over(
    code: int | None,
) -> None:
    time = FakeTime()
    manager = make_manager(time, disconnect_delay=5)
    session, _ = manager.create("ann", user())
    socket = await connected(manager, session)
    media = FakePeer()
    manager.set_media(session, media)
    manager.set_watching(session, media, True)
    manager.set_controller(session, session)
    seen = Recorder(manager)
    manager.socket_closed(session, socket, code)
    time.advance(4.99)
    assert session.is_connected
    assert session.is_controller
    assert session.socket is None
    session.send("anything")
    assert seen.take() == []
    time.advance(0.02)
    assert seen.take() == [("controller", "ann", None), ("disconnected", "ann")]
    assert session.is_watching
    assert not media.closed


async def test_a_replacement_is_announced_again_before_the_old_socket_is_closed() -> None:
    time = FakeTime()
    manager = make_manager(time)
    session, _ = manager.create("ann", user())
    old, new = await connected(manager, session), FakeSocket()
    seen = Recorder(manager)
    closed_when_announced: list[list[str]] = []
    manager.events.connected.subscribe(lambda _: closed_when_announced.append(list(old.closed)))
    await manager.connect(session, new)
    assert closed_when_announced == [[]]
    assert old.closed == ["connection replaced"]
    manager.socket_closed(session, old, 1000)
    time.advance(60)
    assert session.is_connected
    assert session.socket is new
    assert seen.take() == [("connecting", "ann"), ("connected", "ann")]


async def test_coming_back_within_the_delay_makes_the_old_timer_void() -> None:
    time = FakeTime()
    manager = make_manager(time, disconnect_delay=5)
    session, _ = manager.create("ann", user())
    first = await connected(manager, session)
    manager.socket_closed(session, first, None)
    time.advance(4)
    second = await connected(manager, session)
    time.advance(4)
    manager.socket_closed(session, second, None)
    time.advance(4)
    assert session.is_connected
    time.advance(1.1)
    assert not session.is_connected


async def test_without_merciful_reconnect_the_second_connection_is_refused_also_during_the_delay() -> None:
    manager = make_manager(merciful_reconnect=False)
    session, _ = manager.create("ann", user())
    socket = await connected(manager, session)
    with pytest.raises(ConnectRefusedError, match="already connected"):
        await manager.connect(session, FakeSocket())
    manager.socket_closed(session, socket, None)
    with pytest.raises(ConnectRefusedError, match="already connected"):
        await manager.connect(session, FakeSocket())


@pytest.mark.parametrize(
    ("profile", "reason"),
    [(user(can_login=False), "session login disabled"), (user(can_connect=False), "connection disabled")],
)
async def test_profiles_that_may_not_connect(profile: object, reason: str) -> None:
    manager = make_manager()
    session, _ = manager.create("ann", profile)  # type: ignore[arg-type]
    with pytest.raises(ConnectRefusedError, match=reason):
        await manager.connect(session, FakeSocket())


async def test_two_connects_at_once_are_taken_one_after_the_other() -> None:
    manager = make_manager()
    session, _ = manager.create("ann", user())
    running = 0
    most = 0

    async def slow(_: Session) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    manager.events.connecting.subscribe(slow)
    sockets = [FakeSocket() for _ in range(4)]
    await asyncio.gather(*(manager.connect(session, socket) for socket in sockets))
    assert most == 1
    assert [socket.closed for socket in sockets] == [["connection replaced"]] * 3 + [[]]
    assert session.socket is sockets[3]


async def test_a_hook_that_hangs_is_left_behind_after_its_deadline() -> None:
    manager = make_manager(connecting_timeout=0.1)
    session, _ = manager.create("ann", user())
    ignored = asyncio.Event()

    async def stubborn(_: Session) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if ignored.is_set():
                    raise
                ignored.set()

    async def failing(_: Session) -> None:
        raise RuntimeError("broken hook")

    manager.events.connecting.subscribe(stubborn)
    manager.events.connecting.subscribe(failing)
    async with asyncio.timeout(5):
        await connected(manager, session)
    assert ignored.is_set()
    assert session.is_connected
    # a stubborn listener is nobody's problem but the test's: end it
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.parametrize("code", [1000, None])
async def test_a_socket_that_dies_under_the_hooks_is_never_announced_but_let_go_of(code: int | None) -> None:
    time = FakeTime()
    manager = make_manager(time)
    session, _ = manager.create("ann", user())
    gate = asyncio.Event()

    async def hook(_: Session) -> None:
        await gate.wait()

    manager.events.connecting.subscribe(hook)
    seen = Recorder(manager)
    socket = FakeSocket()
    connecting = asyncio.create_task(manager.connect(session, socket))
    await until(lambda: session.is_connected, within=5, what="the hooks run")
    manager.socket_closed(session, socket, code)
    assert ("disconnected", "ann") not in seen.log
    gate.set()
    with pytest.raises(ConnectRefusedError, match="connection lost"):
        await connecting
    time.advance(0 if code == 1000 else 6)
    assert seen.take() == [("connecting", "ann"), ("disconnected", "ann")]
    assert session.socket is None


async def test_a_cancelled_connect_lets_go_too() -> None:
    time = FakeTime()
    manager = make_manager(time)
    session, _ = manager.create("ann", user())
    seen = Recorder(manager)

    async def hook(_: Session) -> None:
        await asyncio.sleep(3600)

    manager.events.connecting.subscribe(hook)
    connecting = asyncio.create_task(manager.connect(session, FakeSocket()))
    await until(lambda: session.is_connected, within=5, what="the hooks run")
    connecting.cancel()
    await asyncio.wait({connecting})
    manager.disconnect(session.id)
    await until(lambda: not session.is_connected, within=5, what="the session is let go of")
    assert seen.take() == [("connecting", "ann"), ("disconnected", "ann")]


async def test_deleting_a_session_under_the_hooks_waits_for_them_to_stop() -> None:
    manager = make_manager()
    session, token = manager.create("ann", user())
    seen = Recorder(manager)
    stopped: list[int] = []
    begun = asyncio.Event()

    async def hook(_: Session) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append(len(seen.log))

    manager.events.connecting.subscribe(hook)
    connecting = asyncio.create_task(manager.connect(session, FakeSocket()))
    await until(begun.is_set, within=5, what="the hooks run")
    manager.delete(session.id)
    assert manager.by_token(token) is None
    with pytest.raises(ConnectRefusedError, match="session deleted"):
        await connecting
    assert stopped == [1], "the hook stopped before anything else was said"
    assert seen.take() == [("connecting", "ann"), ("disconnected", "ann"), ("deleted", "ann")]


async def test_delete_disconnects_tells_closes_media_then_says_deleted() -> None:
    manager = make_manager()
    session, token = manager.create("ann", user())
    socket = await connected(manager, session)
    media = FakePeer()
    manager.set_media(session, media)
    manager.set_watching(session, media, True)
    seen = Recorder(manager)
    manager.delete("ann")
    assert seen.take() == [
        ("disconnected", "ann"),
        ("state", "ann", False),
        ("media_closed", "ann"),
        ("deleted", "ann"),
    ]
    assert socket.closed == ["session deleted"]
    assert media.closed == ["session deleted"]
    assert manager.by_token(token) is None
    with pytest.raises(SessionNotFoundError):
        manager.delete("ann")
    late = FakePeer()
    manager.set_media(session, late)
    assert late.closed
    assert session.media is None


async def test_disconnect_keeps_the_session_and_its_token() -> None:
    manager = make_manager()
    session, token = manager.create("ann", user())
    socket = await connected(manager, session)
    manager.disconnect("ann")
    assert socket.closed == ["session disconnected"]
    assert manager.by_token(token) is session
    await connected(manager, session)


async def test_logging_in_again_is_refused_while_connected_and_replaces_otherwise() -> None:
    manager = make_manager()
    session, token = manager.create("ann", user())
    socket = await connected(manager, session)
    with pytest.raises(SessionAlreadyConnectedError):
        manager.create("ann", user())
    manager.socket_closed(session, socket, 1000)
    again, new_token = manager.create("ann", user())
    assert again is not session
    assert manager.by_token(token) is None
    assert manager.by_token(new_token) is again


async def test_locked_logins_let_admins_in() -> None:
    manager = make_manager(locked_logins=True)
    with pytest.raises(LoginsLockedError, match="logins are locked"):
        manager.create("ann", user())
    manager.create("root", admin())


async def test_the_session_away_longest_gives_way_and_connected_ones_never() -> None:
    time = FakeTime()
    manager = make_manager(time, max_sessions=3)
    here = manager.create("here", user())[0]
    await connected(manager, here)
    time.advance(1)
    back = manager.create("back", user())[0]
    time.advance(1)
    manager.create("idle", user())
    time.advance(1)
    manager.socket_closed(back, await connected(manager, back), 1000)
    manager.create("new", user())
    assert [session.id for session in manager.list()] == ["here", "back", "new"]
    for session in manager.list()[1:]:
        await connected(manager, session)
    with pytest.raises(TooManySessionsError, match=r"session\.max_sessions"):
        manager.create("more", user())


async def test_a_kick_says_profile_disconnects_tells_and_ends_the_picture_a_second_later() -> None:
    time = FakeTime()
    manager = make_manager(time)
    session, _ = manager.create("ann", user())
    socket = await connected(manager, session)
    media = FakePeer()
    manager.set_media(session, media)
    manager.set_watching(session, media, True)
    seen = Recorder(manager)
    manager.update_profile(session, user(can_connect=False))
    assert seen.take() == [("profile", "ann"), ("disconnected", "ann")]
    assert socket.closed == ["profile changed"]
    assert not media.closed
    time.advance(1.01)
    assert media.closed == ["profile changed"]
    assert not session.is_watching


async def test_losing_the_right_to_control_takes_control() -> None:
    manager = make_manager()
    session, _ = manager.create("ann", user())
    manager.set_controller(session, session)
    manager.update_profile(session, user(can_host=False))
    assert manager.controller is None


async def test_private_mode_pauses_users_and_takes_their_control() -> None:
    manager = make_manager()
    ann, root = manager.create("ann", user())[0], manager.create("root", admin())[0]
    peers = FakePeer(), FakePeer()
    manager.set_media(ann, peers[0])
    manager.set_media(root, peers[1])
    manager.set_controller(ann, ann)
    seen = Recorder(manager)
    manager.update_room(root, private_mode=True)
    assert [peer.paused for peer in peers] == [True, False]
    assert seen.take() == [("controller", "root", None), ("settings", "root")]
    late = FakePeer()
    manager.set_media(ann, late)
    paused = [late.paused]
    manager.update_profile(ann, admin())
    paused.append(late.paused)
    manager.update_profile(ann, user())
    manager.update_room(root, private_mode=False)
    paused.append(late.paused)
    assert paused == [True, False, False]


async def test_protected_controls_are_locked_unless_an_admin_is_connected() -> None:
    manager = make_manager(control_protection=True)
    locked = [manager.room.locked_controls]
    ann, root = manager.create("ann", user())[0], manager.create("root", admin())[0]
    await connected(manager, ann)
    locked.append(manager.room.locked_controls)
    socket = await connected(manager, root)
    locked.append(manager.room.locked_controls)
    assert locked == [True, True, False]
    manager.set_controller(ann, ann)
    seen = Recorder(manager)
    manager.socket_closed(root, socket, 1000)
    assert manager.room.locked_controls
    assert seen.take() == [("controller", "root", None), ("settings", "root"), ("disconnected", "root")]


async def test_turning_protection_on_without_an_admin_locks_at_once() -> None:
    manager = make_manager()
    ann = manager.create("ann", user())[0]
    manager.set_controller(ann, ann)
    room = manager.update_room(None, control_protection=True)
    assert room.locked_controls
    assert manager.controller is None


async def test_room_changes_are_checked_merged_and_always_told() -> None:
    manager = make_manager()
    seen = Recorder(manager)
    manager.update_room(None, plugins={"chat.can_send": False, "a": 1})
    manager.update_room(None, plugins={"a": 2}, unknown=3, private_mode=None)
    assert manager.room.plugins == {"chat.can_send": False, "a": 2}
    manager.update_room(None)
    assert seen.take() == [("settings", None)] * 3
    before = manager.room
    with pytest.raises(BadRoomSettings, match="private_mode"):
        manager.update_room(None, private_mode="yes")
    assert manager.room is before


async def test_watching_counts_for_the_current_peer_only() -> None:
    manager = make_manager()
    session, _ = manager.create("ann", user())
    old, new = FakePeer(), FakePeer()
    seen = Recorder(manager)
    manager.set_media(session, old)
    manager.set_watching(session, old, True)
    manager.set_media(session, new)
    assert old.closed
    manager.set_watching(session, old, True)
    assert not session.is_watching
    manager.set_watching(session, new, True)
    manager.set_watching(session, new, True)
    manager.set_media(session, None)
    assert seen.take() == [
        ("state", "ann", True),
        ("state", "ann", False),
        ("state", "ann", True),
        ("state", "ann", False),
        ("media_closed", "ann"),
    ]


async def test_shutdown_disconnects_everybody_and_takes_nobody() -> None:
    manager = make_manager()
    sessions = [manager.create(name, user())[0] for name in ("ann", "bob")]
    sockets = [await connected(manager, session) for session in sessions]
    seen = Recorder(manager)
    await manager.stop()
    assert [socket.closed for socket in sockets] == [["connection shutdown"]] * 2
    assert seen.take() == [("disconnected", "ann"), ("disconnected", "bob")]
    with pytest.raises(ConnectRefusedError, match="connection shutdown"):
        await manager.connect(sessions[0], FakeSocket())


async def test_counts_do_not_leak_over_replacements() -> None:
    registry = CollectorRegistry()
    manager = SessionManager(SessionSettings(), registry=registry)
    ann, root = manager.create("ann", user())[0], manager.create("root", admin())[0]
    for _ in range(5):
        socket = await connected(manager, ann)
    await connected(manager, root)
    stats = manager.stats()
    assert (stats.total_users, stats.total_admins) == (1, 1)
    assert "last_user_left_at" not in stats.to_wire()
    assert registry.get_sample_value("catnap_sessions_connected") == 2
    manager.socket_closed(ann, socket, 1000)
    assert manager.stats().to_wire()["total_users"] == 0
    assert "last_user_left_at" in manager.stats().to_wire()
    assert registry.get_sample_value("catnap_sessions_connected") == 1
    assert registry.get_sample_value("catnap_sessions") == 2


async def test_a_failing_listener_does_not_keep_others_from_hearing() -> None:
    manager = make_manager()

    def broken(_: Session) -> None:
        raise RuntimeError("broken listener")

    manager.events.created.subscribe(broken)
    seen = Recorder(manager)
    manager.create("ann", user())
    assert seen.take() == [("created", "ann")]
