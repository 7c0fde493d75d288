"""The API, over its unix socket and its loopback port: hypeman's names, states, durations and errors."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from hostagent.api import connections
from hostagent.app import HostAgent
from tests.hostagent.agents import COMMAND, eventually_served, host_directory, running, settings_in
from tests.hostagent.own_host import require_own_network

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "0123456789abcdef0123"
POLICY = {"enabled": True, "idle_timeout": "300s", "level": "frozen"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent() -> AsyncIterator[HostAgent]:
    require_own_network()
    with host_directory() as directory:
        flags = {"api.bind": "127.0.0.1:0", "api.token": TOKEN}
        async with running(settings_in(directory, **flags)) as started:
            yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(agent: HostAgent) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(agent.settings.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=20) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(api: httpx.AsyncClient) -> dict[str, object]:
    body = {
        "name": "echo",
        "command": [*COMMAND, "api"],
        "env": {"GREETING": "hello"},
        "ports": [{"host_port": 17000, "guest_port": 7000}],
        "auto_standby": POLICY,
    }
    answer = await api.post("/instances", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _running(api: httpx.AsyncClient) -> dict[str, object]:
    await api.post("/instances/echo/start")
    answer = await api.post("/instances/echo/restore")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_instance_has_hypemans_fields(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    assert {
        "id",
        "name",
        "image",
        "state",
        "created_at",
        "started_at",
        "network",
        "env",
        "has_snapshot",
    } <= set(echo)
    assert (echo["state"], echo["name"], echo["env"]) == ("Running", "echo", {"GREETING": "hello"})
    assert echo["auto_standby"] == {"enabled": True, "idle_timeout": "5m0s", "level": "frozen"}
    assert echo["ports"] == [{"host_port": 17000, "guest_port": 7000, "protocol": "tcp"}]
    network = echo["network"]
    assert isinstance(network, dict)
    assert set(network) == {"enabled", "name", "ip", "ip6", "mac"}
    assert await eventually_served("tcp", "127.0.0.1", 17000)


async def test_it_is_found_by_id_name_and_beginning_of_the_id(
    api: httpx.AsyncClient, echo: dict[str, object]
) -> None:
    identity = str(echo["id"])
    for key in (identity, "echo", identity[:5]):
        answer = await api.get(f"/instances/{key}")
        assert answer.json()["id"] == identity
    assert [one["id"] for one in (await api.get("/instances")).json()] == [identity]


async def test_standby_and_restore(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    before = await _running(api)
    asleep = await api.post("/instances/echo/standby", json={"level": "frozen"})
    assert asleep.status_code == 200, asleep.text
    assert (asleep.json()["state"], asleep.json()["wakes_on_packet"]) == ("Standby", True)
    again = await api.post("/instances/echo/standby", json={"level": "frozen"})
    assert (again.status_code, again.json()["code"]) == (409, "instance_in_standby")
    held = await api.post("/instances/echo/auto-standby/hold")
    assert (held.status_code, held.json()["code"]) == (409, "instance_in_standby")
    awake = await api.post("/instances/echo/restore")
    assert (awake.status_code, awake.json()["state"]) == (200, "Running")
    assert awake.json()["generation"] == int(str(before["generation"])) + 2


async def test_an_instance_in_use_is_not_put_to_sleep(
    api: httpx.AsyncClient, echo: dict[str, object]
) -> None:
    await _running(api)
    network = echo["network"]
    assert isinstance(network, dict)
    _, writer = await asyncio.open_connection(network["ip"], 7000)
    refused = await api.post("/instances/echo/standby", json={"level": "frozen"})
    assert (refused.status_code, refused.json()["code"]) == (409, "aborted")
    assert "stays awake" in refused.json()["message"]
    writer.close()
    await writer.wait_closed()


async def test_stop_and_start(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    await _running(api)
    stopped = await api.post("/instances/echo/stop")
    assert (stopped.json()["state"], stopped.json()["wakes_on_packet"]) == ("Stopped", False)
    assert "stopped_at" in stopped.json()
    for action in ("stop", "restore", "standby"):
        refused = await api.post(f"/instances/echo/{action}")
        assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state"), action
    started = await api.post("/instances/echo/start")
    assert (started.status_code, started.json()["state"]) == (200, "Running")
    assert started.json()["network"] == echo["network"]
    refused = await api.post("/instances/echo/start")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state")


async def test_the_policy_can_be_changed_while_it_is_stopped(
    api: httpx.AsyncClient, echo: dict[str, object]
) -> None:
    await _running(api)
    await api.post("/instances/echo/stop")
    changed = await api.patch(
        "/instances/echo", json={"auto_standby": {"enabled": True, "idle_timeout": "90s"}}
    )
    assert changed.json()["auto_standby"] == {"enabled": True, "idle_timeout": "1m30s"}
    none = await api.patch("/instances/echo", json={"auto_standby": None})
    assert "auto_standby" not in none.json()
    status = (await api.get("/instances/echo/auto-standby/status")).json()
    assert (status["status"], status["reason"], status["configured"]) == ("disabled", "policy_missing", False)
    await api.patch("/instances/echo", json={"auto_standby": POLICY})
    await api.post("/instances/echo/start")


async def test_status_hold_and_why(api: httpx.AsyncClient) -> None:
    await api.post("/instances", json={"name": "held", "command": [*COMMAND, "held"], "auto_standby": POLICY})
    status = (await api.get("/instances/held/auto-standby/status")).json()
    assert status["eligible"] is True
    assert status["idle_timeout"] == "5m0s"
    assert status["tracking_mode"].startswith("conntrack_events_v4")
    held = await api.post("/instances/held/auto-standby/hold")
    assert held.status_code == 200
    assert "hold_until" in held.json()
    body = {"owner": "me", "reason": "work", "duration": "1h"}
    lease = (await api.post("/instances/held/ping", json=body)).json()
    assert lease["owner"] == "me"
    assert lease["awake_until"] > held.json()["hold_until"]
    bad = await api.post("/instances/held/ping", json={"duration": "soon"})
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_request")
    refused = await api.post("/instances/held/standby")
    assert (refused.status_code, refused.json()["code"]) == (409, "aborted")
    why = (await api.get("/instances/held/why")).json()
    assert sorted(one["owner"] for one in why["leases"]) == ["hold", "me"]
    assert any(one["kind"] == "lease" for one in why["evidence"])
    assert why["events"][0]["type"] == "create"
    assert {"history", "wakes", "level_since", "generation"} <= set(why)
    await api.delete("/instances/held")


async def test_a_ping_wakes(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    refused = {"owner": "me"}
    await api.post("/instances/echo/stop")
    assert (await api.post("/instances/echo/ping", json=refused)).status_code == 409
    await api.post("/instances/echo/start")
    body = {"name": "other", "command": [*COMMAND, "ping"], "auto_standby": POLICY}
    await api.post("/instances", json=body)
    asleep = await api.post("/instances/other/standby")
    assert asleep.json().get("state") == "Standby", asleep.text
    pinged = await api.post("/instances/other/ping")
    assert pinged.status_code == 200, pinged.text
    assert (await api.get("/instances/other")).json()["state"] == "Running"
    assert (await api.delete("/instances/other")).status_code == 204
    assert (await api.get("/instances/other")).status_code == 404


BAD = [
    ({}, "name"),
    ({"name": "x"}, "command"),
    ({"name": "UPPER", "command": ["a"]}, "name"),
    ({"name": "-x", "command": ["a"]}, "name"),
    ({"name": "x" * 64, "command": ["a"]}, "name"),
    ({"name": "x", "command": []}, "command"),
    ({"name": "x", "command": ["a\0b"]}, "command"),
    ({"name": "x", "command": ["a"], "vcpus": 2}, "vcpus"),
    ({"name": "x", "command": ["a"], "image": "alpine"}, "image"),
    ({"name": "x", "command": ["a"], "env": {"A=B": "c"}}, "env"),
    ({"name": "x", "command": ["a"], "ports": [{"host_port": 0, "guest_port": 1}]}, "host_port"),
    ({"name": "x", "command": ["a"], "working_directory": "tmp"}, "working_directory"),
    ({"name": "x", "command": ["a"], "auto_standby": {"enabled": True}}, "idle_timeout"),
    (
        {"name": "x", "command": ["a"], "auto_standby": {"enabled": True, "idle_timeout": "soon"}},
        "idle_timeout",
    ),
]


@pytest.mark.parametrize(("body", "names"), BAD)
async def test_a_bad_body_is_refused_naming_the_field(
    api: httpx.AsyncClient, body: dict[str, object], names: str
) -> None:
    answer = await api.post("/instances", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert names in answer.json()["message"]


async def test_names_ports_and_unknown_ones(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    taken = await api.post("/instances", json={"name": "echo", "command": ["/bin/true"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_conflict")
    ports = [{"host_port": 17000, "guest_port": 1}]
    taken = await api.post("/instances", json={"name": "other", "command": ["/bin/true"], "ports": ports})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_conflict")
    for method, path in (
        ("GET", "/instances/nobody"),
        ("POST", "/instances/nobody/standby"),
        ("GET", "/nothing"),
    ):
        missing = await api.request(method, path)
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    unparsable = await api.post("/instances", content=b"{", headers={"content-type": "application/json"})
    assert (unparsable.status_code, unparsable.json()["code"]) == (400, "bad_request")
    long = await api.post(
        "/instances", content=b"x" * (2 << 20), headers={"content-type": "application/json"}
    )
    assert (long.status_code, long.json()["code"]) == (413, "too_large")

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * (1 << 16)

    chunked = await api.post("/instances", content=in_pieces(), headers={"content-type": "application/json"})
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("drip", [b"", b"GET /instances HTTP/1.1\r\nHost:"])
async def test_a_connection_that_asks_nothing_is_closed(
    agent: HostAgent, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.server.port)
    writer.write(drip)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_a_command_that_cannot_start_leaves_nothing(api: httpx.AsyncClient, agent: HostAgent) -> None:
    answer = await api.post("/instances", json={"name": "broken", "command": ["/no/such/program"]})
    assert answer.status_code >= 400
    assert "/no/such/program" in answer.json()["message"]
    assert (await api.get("/instances/broken")).status_code == 404


async def test_a_command_that_ends_is_stopped_with_its_status(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/instances", json={"name": "short", "command": ["/bin/sh", "-c", "sleep 0.2; exit 7"]}
    )
    assert answer.status_code == 201, answer.text
    try:
        kinds: list[str] = []
        async with asyncio.timeout(15):
            while kinds[-1:] != ["exit"]:  # the state is looked up, so it may be known before it is told
                kinds = [one["type"] for one in (await api.get("/instances/short/why")).json()["events"]]
                await asyncio.sleep(0.05)
        found = (await api.get("/instances/short")).json()
        assert (found["state"], found["exit_status"], found["wakes_on_packet"]) == ("Stopped", 7, False)
    finally:
        await api.delete("/instances/short")


async def _events(api: httpx.AsyncClient, count: int, **parameters: str | int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    async with asyncio.timeout(15), api.stream("GET", "/events", params=parameters) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
            if len(found) == count:
                break
    return found


async def test_events_are_numbered_and_can_be_replayed(
    api: httpx.AsyncClient, echo: dict[str, object]
) -> None:
    await _running(api)
    since = (await api.get("/inventory")).json()["sequence"]
    await api.post("/instances/echo/standby", json={"level": "frozen"})
    await api.post("/instances/echo/restore")
    found = await _events(api, 2, since=since, instance="echo")
    assert [event["type"] for event in found if event["type"] in ("standby", "restore")] == [
        "standby",
        "restore",
    ]
    assert [event["sequence"] for event in found] == sorted(int(str(event["sequence"])) for event in found)
    assert int(str(found[0]["sequence"])) > since
    standby = found[0]
    assert (standby["from_level"], standby["level"], standby["instance_id"]) == (
        "awake",
        "frozen",
        echo["id"],
    )
    again = await _events(api, 1, since=int(str(found[0]["sequence"])), instance="echo")
    assert again[0] == found[1]


async def test_logs(api: httpx.AsyncClient, echo: dict[str, object]) -> None:
    await _running(api)
    for _ in range(50):
        text = (await api.get("/instances/echo/logs", params={"tail": 5})).text
        if "ready" in text:
            break
        await asyncio.sleep(0.05)
    assert "data: ready ['api']" in text
    assert '"type": "create"' in (await api.get("/instances/echo/logs", params={"source": "hypeman"})).text


async def test_inventory_health_and_metrics(
    api: httpx.AsyncClient, agent: HostAgent, echo: dict[str, object]
) -> None:
    assert (await api.get("/health")).json() == {"status": "ok", "epoch": 1}
    await _running(api)
    await api.post("/instances/echo/standby", json={"level": "frozen"})
    await api.post("/instances/echo/restore")
    inventory = (await api.get("/inventory")).json()
    assert inventory["epoch"] == 1
    assert [(one["name"], one["state"], one["level"]) for one in inventory["instances"]] == [
        ("echo", "Running", "awake")
    ]
    text = (await api.get("/metrics")).text
    for name in (
        'hypeman_instances_total{hypervisor="process",state="Running"} 1.0',
        'catnap_host_level_seconds_total{level="frozen"}',
        'catnap_host_wake_seconds_count{level="frozen"}',
        'hypeman_instances_standby_duration_seconds_count{status="success"}',
    ):
        assert name in text
    assert stat.S_IMODE(agent.settings.socket.stat().st_mode) == 0o600


async def test_the_loopback_port_wants_the_token(agent: HostAgent) -> None:
    base = f"http://127.0.0.1:{agent.server.port}"
    async with httpx.AsyncClient(base_url=base) as client:
        for header in (None, "Bearer wrong", f"bearer {TOKEN}", f"Bearer {TOKEN}x", TOKEN):
            headers = {} if header is None else {"Authorization": header}
            answer = await client.get("/instances", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), header
        answer = await client.get("/instances", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200


async def test_a_second_agent_with_the_same_directories_does_not_start(agent: HostAgent) -> None:
    with pytest.raises(Exception, match="another agent runs"):
        await HostAgent(agent.settings).start()
