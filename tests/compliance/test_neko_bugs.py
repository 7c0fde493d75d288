"""What is wrong in neko and must not be wrong here; each test names the fault."""

from tests.api.running import API_TOKEN, Running, running
from tests.sessions.doubles import FakeSocket, admin, make_manager, user
from tests.websocket.room import running_room


async def test_counts_do_not_grow_with_reconnections() -> None:
    # neko counts every connection that replaces another and never takes it off again
    manager = make_manager()
    session, _ = manager.create("ann", user())
    for _ in range(5):
        await manager.connect(session, FakeSocket())
    assert manager.stats().total_users == 1


async def test_a_program_that_takes_control_has_it() -> None:
    # neko tells everybody that "API" is host, and then that there is none
    async with running() as server:
        ann, _ = server.log_in("ann")
        socket = await server.connect(ann)
        async with server.client(API_TOKEN) as client:
            assert (await client.post("/api/room/control/take")).status_code == 204
            assert (await client.get("/api/room/control")).json() == {"has_host": True, "host_id": "API"}
            assert (await client.get("/api/stats")).json()["host_id"] == "API"
        assert ("control/host", {"id": "API", "has_host": True, "host_id": "API"}) in socket.sent


async def test_a_touch_without_a_place_is_one() -> None:
    # neko's handler crashes
    async with running_room() as room:
        ann = await room.join("ann", user())
        await ann.send("control/touchbegin", {})
        await ann.barrier()
        assert ("begin", 0, 0, 0, 0) in room.desktop.touch.calls


async def test_a_stream_that_does_not_exist_is_no_end() -> None:
    # neko panics when no pipeline is configured
    async with running_room() as room:
        ann = await room.join("ann", user())
        await ann.send(
            "signal/request", {"video": {"selector": {"id": "no such", "type": "exact"}}, "audio": {}}
        )
        await ann.barrier()
        await ann.send("signal/request", {"video": {"selector": {"type": "no such"}}, "audio": {}})
        await ann.barrier()


async def test_a_member_without_a_list_is_not_half_removed() -> None:
    # neko ends the session and then answers 500
    async with running() as server:
        ann, _ = server.log_in("ann")
        async with server.client(API_TOKEN) as client:
            assert (await client.delete(f"/api/members/{ann.id}")).status_code == 422
        assert server.sessions.get(ann.id) is ann


async def test_a_batch_works_below_a_prefix() -> None:
    # neko finds no route there
    async with running({"server": {"path_prefix": "/room"}}) as server:
        async with server.client(API_TOKEN) as client:
            answers = (await client.post("/room/api/batch", json=[{"path": "/api/whoami"}])).json()
        assert answers[0]["status"] == 200


async def test_metrics_of_a_session_end_with_it() -> None:
    # neko keeps the series of every session that ever was
    async with running() as server:
        await _metrics_end(server)


async def _metrics_end(server: Running) -> None:
    before = len(list(server.context.registry.collect()))
    for number in range(20):
        session, _ = server.log_in(f"guest{number}")
        await server.connect(session)
        server.sessions.delete(session.id)
    assert len(list(server.context.registry.collect())) == before
    text = str([family.samples for family in server.context.registry.collect()])
    assert "guest" not in text


async def test_the_last_admin_who_leaves_locks_protected_controls() -> None:
    manager = make_manager()
    root, _ = manager.create("root", admin())
    ann, _ = manager.create("ann", user())
    socket = FakeSocket()
    await manager.connect(root, socket)
    await manager.connect(ann, FakeSocket())
    manager.update_room(root, control_protection=True)
    assert manager.room.to_wire()["locked_controls"] is False
    manager.set_controller(ann, ann)
    manager.socket_closed(root, socket, 1000)
    assert manager.room.locked_controls
    assert manager.controller is None
