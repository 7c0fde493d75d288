"""The rules of control, one row per case."""

import pytest

from streamserver.sessions.control import ControlDecision, decide_request, release_control, request_control
from streamserver.sessions.model import RoomSettings, Session, SessionId
from tests.sessions.doubles import FakeSocket, admin, make_manager, user

ME, OTHER, ADMIN, MUTE = (
    Session(SessionId("me"), user()),
    Session(SessionId("other"), user()),
    Session(SessionId("admin"), admin()),
    Session(SessionId("mute"), admin(can_host=False)),
)
D = ControlDecision


@pytest.mark.parametrize(
    ("session", "controller", "room", "expected"),
    [
        (ME, None, {}, D.GRANTED),
        (ME, ME, {}, D.ALREADY),
        (ME, OTHER, {}, D.ASK_CONTROLLER),
        (ME, OTHER, {"implicit_hosting": True}, D.GRANTED),
        (ME, ME, {"implicit_hosting": True}, D.ALREADY),
        (ME, None, {"locked_controls": True}, D.REFUSED),
        (ME, ME, {"locked_controls": True}, D.ALREADY),
        (ME, OTHER, {"locked_controls": True, "implicit_hosting": True}, D.REFUSED),
        (ADMIN, None, {"locked_controls": True}, D.GRANTED),
        (ADMIN, ME, {"locked_controls": True}, D.ASK_CONTROLLER),
        (ME, None, {"private_mode": True}, D.REFUSED),
        (ME, ME, {"private_mode": True}, D.REFUSED),
        (ADMIN, None, {"private_mode": True}, D.GRANTED),
        (MUTE, None, {}, D.REFUSED),
        (MUTE, MUTE, {"implicit_hosting": True}, D.REFUSED),
    ],
)
def test_decision(
    session: Session, controller: Session | None, room: dict[str, bool], expected: ControlDecision
) -> None:
    assert decide_request(session, controller, RoomSettings.model_validate(room)) is expected


async def test_a_request_asks_the_controller_and_nobody_else() -> None:
    manager = make_manager()
    first, second = manager.create("first", user())[0], manager.create("second", user())[0]
    sockets = FakeSocket(), FakeSocket()
    for session, socket in zip((first, second), sockets, strict=True):
        await manager.connect(session, socket)
    assert request_control(manager, first) is D.GRANTED
    assert request_control(manager, second) is D.ASK_CONTROLLER
    assert sockets[0].sent == [("control/request", {"id": "second"})]
    assert sockets[1].sent == []
    assert manager.controller is first


async def test_only_the_controller_can_release() -> None:
    manager = make_manager()
    first, second = manager.create("first", user())[0], manager.create("second", user())[0]
    manager.set_controller(first, first)
    assert not release_control(manager, second)
    assert manager.controller is first
    assert release_control(manager, first)
    assert [s for s in manager.list() if s.is_controller] == []
