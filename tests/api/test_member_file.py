"""Members in a file, seen from outside: logins, changes, damage, and what else goes on meanwhile."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from pathlib import Path

import pytest

from streamserver.members import passwords
from streamserver.members.passwords import neko_hash
from tests.api.running import API_TOKEN, running

RIGHTS = dict.fromkeys(("can_login", "can_connect", "can_watch"), True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "members.json"
    path.write_text(json.dumps({"ann": {"password": neko_hash("a"), "profile": RIGHTS}}))
    return path


def settings_for(path: Path) -> dict[str, dict[str, object]]:
    return {"member": {"provider": "file", "file": {"path": str(path)}}}


async def test_members_live_in_the_file_and_survive_the_server(path: Path) -> None:
    async with running(settings_for(path)) as server, server.client(API_TOKEN) as client:
        answer = await client.post("/api/members", json={"username": "bob", "password": "b"})
        assert answer.status_code == 200
        assert (await client.post("/api/members/ann", json={"name": "Ann"})).status_code == 204
    async with running(settings_for(path)) as server, server.client() as client:
        for name, password, status in (
            ("ann", "a", 200),
            ("bob", "b", 200),
            ("bob", "a", 401),
            ("eve", "a", 401),
        ):
            answer = await client.post("/api/login", json={"username": name, "password": password})
            assert answer.status_code == status
        assert answer.json() == {"code": 401, "message": "Unauthorized"}


async def test_a_damaged_file_is_a_line_in_the_log_and_left_alone(
    path: Path, log_output: io.StringIO
) -> None:
    async with running(settings_for(path)) as server, server.client(API_TOKEN) as client:
        path.write_text('{"ann": ')
        for request in (
            client.get("/api/members"),
            client.get("/api/members/ann"),
            client.post("/api/members", json={"username": "bob", "password": "b"}),
            client.post("/api/login", json={"username": "ann", "password": "a"}),
        ):
            answer = await request
            assert (answer.status_code, answer.json()["message"]) == (500, "Internal Server Error")
        answer = await client.post("/api/members_bulk/delete", json={"ids": ["ann"]})
        assert (answer.status_code, answer.json()["message"]) == (500, "failed to delete member ann")
        path.write_text("{}")
        assert (await client.get("/api/members")).json() == []
    lines = [line for line in log_output.getvalue().splitlines() if "members are not available" in line]
    assert len(lines) == 5
    assert all(str(path) in line for line in lines)


async def test_while_a_password_is_hashed_others_are_served(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    verify = passwords._verify_argon2

    def slow(kept: str, password: str) -> bool:
        loop.call_soon_threadsafe(started.set)
        go_on.wait(20)
        return verify(kept, password)

    monkeypatch.setattr(passwords, "_verify_argon2", slow)
    async with running(settings_for(path)) as server, server.client() as client:
        login = asyncio.create_task(client.post("/api/login", json={"username": "ann", "password": "a"}))
        await asyncio.wait_for(started.wait(), 20)
        assert (await client.get("/health")).text == "true"
        assert not login.done()
        go_on.set()
        assert (await login).status_code == 200


async def test_guesses_at_the_same_time_are_counted_one_by_one(path: Path) -> None:
    # else all of them would be looked at before the first is counted, and no guess would ever wait
    async with running(settings_for(path)) as server, server.client() as client:
        guess = {"username": "ann", "password": "wrong"}
        answers = await asyncio.gather(*(client.post("/api/login", json=guess) for _ in range(20)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 8  # five free ones, and one for each second that has passed meanwhile


async def test_who_is_removed_while_logging_in_gets_no_session(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    verify = passwords._verify_argon2

    def slow(kept: str, password: str) -> bool:
        loop.call_soon_threadsafe(started.set)
        time.sleep(0.2)  # for the removal to come; whether it does is no matter of the test
        return verify(kept, password)

    monkeypatch.setattr(passwords, "_verify_argon2", slow)
    async with running(settings_for(path)) as server, server.client(API_TOKEN) as client:
        login = asyncio.create_task(client.post("/api/login", json={"username": "ann", "password": "a"}))
        await asyncio.wait_for(started.wait(), 20)
        assert (await client.delete("/api/members/ann")).status_code == 204
        await login
        assert server.sessions.get("ann") is None
