"""Pin and leases over HTTP, with the writes that follow.

The numbers are those of the list of behaviours that the originals' unit tests name.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from plugins.scaletozero.gate_state import MOST_LEASES
from tests.scaletozero.gated_server import WRITTEN, Gated, gated
from tests.waiting import until

LONG = 3600
ROOTS = ["/scaletozero", "/api/scaletozero"]
DISABLE, ENABLE = "/scaletozero/disable", "/scaletozero/enable"
LEASE = "/scaletozero/leases/job"


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path) as gate:
        yield gate


@pytest.fixture
async def client(gate: Gated) -> AsyncIterator[httpx.AsyncClient]:
    async with gate.client() as client:
        yield client


async def done(request: object) -> None:
    """Await a request and expect 204 with an empty body."""
    answer: httpx.Response = await request  # type: ignore[misc]
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("root", ROOTS)
async def test_pin_and_unpin_at_both_paths(gate: Gated, client: httpx.AsyncClient, root: str) -> None:
    await done(client.post(f"{root}/disable"))
    assert gate.writes == "+", "written before the answer"
    await done(client.post(f"{root}/enable"))
    assert gate.writes == "+-"


async def test_a_prefix_comes_before_both(tmp_path: Path) -> None:
    async with gated(tmp_path, {"server": {"path_prefix": "/room"}}) as gate, gate.client() as client:
        for root in ROOTS:
            await done(client.post(f"/room{root}/disable"))
            assert (await client.post(f"{root}/enable")).status_code == 404
            assert (await client.get(f"/room{root}")).json()["pinned"] is True
            await done(client.post(f"/room{root}/enable"))
        assert gate.writes == "+-+-"


async def test_14_people_coming_and_going_do_not_take_the_pin_away(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    await done(client.post(DISABLE))
    ann, _ = gate.server.log_in("Ann")
    await gate.server.connect(ann)
    gate.server.sessions.disconnect(ann.id, "gone")
    assert (await gate.evidence())["pending"] == 0
    assert gate.writes == "+"
    await done(client.post(ENABLE))
    assert gate.writes == "+-"


async def test_15_pinned_thrice_and_unpinned_twice(gate: Gated, client: httpx.AsyncClient) -> None:
    for path in (DISABLE, DISABLE, DISABLE, ENABLE, ENABLE):
        await done(client.post(path))
    assert gate.writes == "+-"


async def test_16_unpin_alone_writes_nothing(gate: Gated, client: httpx.AsyncClient) -> None:
    await done(client.post(ENABLE))
    assert (await gate.evidence())["last_write"] is None
    assert gate.writes == ""


async def test_17_unpin_while_somebody_is_here_leaves_the_write_to_their_end(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    await done(client.post(DISABLE))
    ann, _ = gate.server.log_in("Ann")
    await gate.server.connect(ann)
    await done(client.post(ENABLE))
    assert (await gate.evidence())["pinned"] is False
    assert gate.writes == "+"
    gate.server.sessions.disconnect(ann.id, "gone")
    await gate.wrote("+-")


async def test_18_pin_during_the_cooldown_cancels_it(tmp_path: Path) -> None:
    async with gated(tmp_path, cooldown=LONG) as gate, gate.client() as client:
        ann, _ = gate.server.log_in("Ann")
        await gate.server.connect(ann)
        gate.server.sessions.disconnect(ann.id, "gone")
        assert (await gate.evidence())["gate"] == "cooldown"
        await done(client.post(DISABLE))
        assert (await gate.evidence())["cooldown_left_seconds"] is None
        assert gate.writes == "+"


async def test_19_unpin_honours_the_cooldown(tmp_path: Path) -> None:
    async with gated(tmp_path, cooldown=0.5) as gate, gate.client() as client:
        await done(client.post(DISABLE))
        began = asyncio.get_running_loop().time()
        await done(client.post(ENABLE))
        await gate.wrote("+-")
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_20_a_failed_unpin_stays_pinned_and_asking_again_tries_again(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    await done(client.post(DISABLE))
    gate.break_file()
    for _ in range(2):
        answer = await client.post(ENABLE)
        assert (answer.status_code, answer.json()) == (500, {"message": "failed to enable scale-to-zero"})
        assert (await gate.evidence())["pinned"] is True
    gate.mend_file()
    await done(client.post(ENABLE))
    assert gate.writes == "+-"


async def test_24_twice_each_with_an_ordinary_call_between(gate: Gated, client: httpx.AsyncClient) -> None:
    for path in (DISABLE, DISABLE):
        await done(client.post(path))
    assert (await client.get("/api/sessions")).status_code == 200
    for path in (ENABLE, ENABLE):
        await done(client.post(path))
    assert gate.writes == "+-"


async def test_a_failed_pin_is_not_a_pin(gate: Gated, client: httpx.AsyncClient) -> None:
    gate.break_file()
    answer = await client.post(DISABLE)
    assert (answer.status_code, answer.json()) == (500, {"message": "failed to disable scale-to-zero"})
    evidence = await gate.evidence()
    assert (evidence["pinned"], evidence["wanted"], evidence["holds"]) == (False, "may_sleep", [])
    gate.mend_file()
    await done(client.post(DISABLE))
    assert gate.writes == "+"


async def test_without_a_control_file_everything_is_taken_and_nothing_made(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    gate.remove_file()
    await done(client.post(DISABLE))
    evidence = await gate.evidence()
    assert evidence["control_file"] == {"path": str(gate.pipe.path), "absent": True}
    assert (evidence["wanted"], evidence["actual"]) == ("awake", "may_sleep")
    await done(client.post(ENABLE))
    assert not gate.pipe.path.exists()


async def test_a_file_that_does_not_answer_costs_the_caller_the_write_timeout(tmp_path: Path) -> None:
    async with gated(tmp_path, write_timeout=0.1) as gate, gate.client() as client:
        blocking = CommandFifo(gate)
        try:
            answer = await client.post(DISABLE)
            assert (answer.status_code, answer.json()) == (
                500,
                {"message": "failed to disable scale-to-zero"},
            )
            evidence = await gate.evidence()
            assert (evidence["pinned"], evidence["gate"]) == (False, "failing")
            assert evidence["in_flight"]["command"] == "+"
        finally:
            blocking.release()


class CommandFifo:
    """Puts a pipe without a reader where the control file is: opening it to write blocks."""

    def __init__(self, gate: Gated) -> None:
        self._gate = gate
        gate.break_file()
        gate.pipe.path.rmdir()
        os.mkfifo(gate.pipe.path)

    def release(self) -> None:
        os.close(os.open(self._gate.pipe.path, os.O_RDONLY | os.O_NONBLOCK))


async def test_a_lease_is_answered_with_what_it_is(gate: Gated, client: httpx.AsyncClient) -> None:
    answer = await client.put(LEASE, json={"ttl_seconds": 300, "reason": "nightly export"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"id": "job", "ttl_seconds": 300, "reason": "nightly export"},
    )
    assert gate.writes == "+", "written before the answer"
    await done(client.delete(LEASE))
    await gate.wrote("+-")
    await done(client.delete(LEASE))
    assert gate.writes == "+-"


async def test_21_a_lease_ends_by_itself(gate: Gated, client: httpx.AsyncClient) -> None:
    began = asyncio.get_running_loop().time()
    assert (await client.put(LEASE, json={"ttl_seconds": 1})).status_code == 200
    await gate.wrote("+-")
    assert asyncio.get_running_loop().time() - began >= 1
    assert (await gate.evidence())["holds"] == []


async def test_21_the_newest_time_counts_longer_or_shorter(gate: Gated, client: httpx.AsyncClient) -> None:
    await client.put(LEASE, json={"ttl_seconds": 1})
    await client.put(LEASE, json={"ttl_seconds": 300, "reason": "longer"})
    [hold] = (await gate.evidence())["holds"]
    assert 290 < hold["seconds_left"] <= 300
    await client.put(LEASE, json={"ttl_seconds": 1})
    await gate.wrote("+-")


async def test_21_dropping_a_lease_leaves_the_pin_and_other_leases_alone(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    await client.put(LEASE, json={"ttl_seconds": 300})
    await client.put("/scaletozero/leases/other", json={"ttl_seconds": 300})
    await done(client.post(DISABLE))
    await done(client.delete(LEASE))
    await done(client.post(ENABLE))
    assert gate.writes == "+"
    await done(client.delete("/scaletozero/leases/other"))
    await gate.wrote("+-")


async def test_one_lease_too_many(gate: Gated, client: httpx.AsyncClient) -> None:
    for number in range(MOST_LEASES):
        answer = await client.put(f"/scaletozero/leases/{number}", json={"ttl_seconds": 300})
        assert answer.status_code == 200
    refused = await client.put(LEASE, json={"ttl_seconds": 300})
    assert (refused.status_code, refused.json()["code"]) == (409, 409)
    assert str(MOST_LEASES) in refused.json()["message"]
    renewed = await client.put("/scaletozero/leases/0", json={"ttl_seconds": 1})
    assert renewed.status_code == 200
    await done(client.delete("/scaletozero/leases/1"))
    assert (await client.put(LEASE, json={"ttl_seconds": 300})).status_code == 200
    assert gate.writes == "+"


async def test_a_lease_that_cannot_be_written_is_not_there(gate: Gated, client: httpx.AsyncClient) -> None:
    gate.break_file()
    answer = await client.put(LEASE, json={"ttl_seconds": 300})
    assert (answer.status_code, answer.json()) == (500, {"message": "failed to acquire scale-to-zero lease"})
    assert (await gate.evidence())["holds"] == []
    await done(client.delete(LEASE))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"reason": "why"}',
        '{"ttl_seconds": 0}',
        '{"ttl_seconds": 301}',
        '{"ttl_seconds": 1.5}',
        '{"ttl_seconds": "5"}',
        '{"ttl_seconds": true}',
        '{"ttl_seconds": null}',
        '{"ttl_seconds": 1e400}',
        '{"ttl_seconds": 5, "reason": 7}',
        '{"ttl_seconds": 5, "reason": "' + "x" * 201 + '"}',
        "[" * 5000,
        b"\xff\xfe",
    ],
)
async def test_a_body_that_is_no_lease_is_refused(
    gate: Gated, client: httpx.AsyncClient, body: str | bytes
) -> None:
    answer = await client.put(LEASE, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert gate.writes == ""


@pytest.mark.parametrize("lease_id", ["a" * 129, "a.b", "a%20b", "%C3%A4", "a%0A", "a;b"])
async def test_an_id_that_is_none_is_refused(gate: Gated, client: httpx.AsyncClient, lease_id: str) -> None:
    for answer in (
        await client.put(f"/scaletozero/leases/{lease_id}", json={"ttl_seconds": 5}),
        await client.delete(f"/scaletozero/leases/{lease_id}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert gate.writes == ""


async def test_the_content_type_does_not_matter_and_unknown_fields_neither(
    gate: Gated, client: httpx.AsyncClient
) -> None:
    body = b'{"ttl_seconds": 5, "colour": "blue"}'
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.put(LEASE, content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("PUT", LEASE), ("POST", DISABLE)])
async def test_a_body_that_is_too_large_is_not_taken(tmp_path: Path, method: str, path: str) -> None:
    async with gated(tmp_path, {"server": {"max_body_size": 1024}}) as gate, gate.client() as client:
        answer = await client.request(method, path, content=b" " * 4096)
        assert (answer.status_code, answer.json()["code"]) == (413, 413)
        assert gate.writes == ""


async def test_after_the_drain_nothing_is_promised(gate: Gated, client: httpx.AsyncClient) -> None:
    await done(client.post(DISABLE))
    await gate.plugin.shutdown()
    assert gate.writes == "+-"
    assert (await client.post(DISABLE)).json() == {"message": "failed to disable scale-to-zero"}
    assert (await client.put(LEASE, json={"ttl_seconds": 5})).status_code == 500
    await done(client.post(ENABLE))
    assert (await gate.evidence())["shutting_down"] is True
    assert gate.writes == "+-"


async def test_switched_off_there_is_no_route(tmp_path: Path) -> None:
    async with gated(tmp_path, enabled=False) as gate, gate.client() as client:
        assert (await client.get("/scaletozero")).status_code == 404
        assert (await client.post(DISABLE)).status_code in (404, 405)
        assert gate.writes == ""


async def test_many_at_once_write_once(gate: Gated, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(DISABLE) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {204}
    answers = await asyncio.gather(*(client.post(ENABLE) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {204}
    await until(lambda: gate.writes == "+-", within=WRITTEN, what="one pair is written")


async def test_all_of_it_is_in_the_documents(gate: Gated, client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    page = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        if "scaletozero" in path
        for method, operation in methods.items()
    }
    assert len(operations) == 10
    for (path, method), operation in operations.items():
        assert f"`{method.upper()} {path}`" in page
        assert operation["description"]
        assert {"401", "403"} <= set(operation["responses"])
        assert {} in operation["security"], "trusted networks need none"
        if method != "get":
            assert {"CookieAuth": []} not in operation["security"]
            failure = operation["responses"]["500"]["content"]["application/json"]["schema"]["$ref"]
            assert failure.endswith("/Failure")
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids)
    take = document["paths"]["/scaletozero/leases/{lease_id}"]["put"]
    assert {"200", "400", "409"} <= set(take["responses"])
    assert take["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Lease")
