"""Who may pin, lease and ask, from where, with what: a table, over a real listener."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.api.running import API_TOKEN
from tests.scaletozero.gated_server import Gated, gated

TRUSTED, STRANGER, LOOPBACK = "10.20.1.1", "192.0.2.1", "127.0.0.1"
CHANGES = [
    ("POST", "/scaletozero/disable"),
    ("POST", "/scaletozero/enable"),
    ("PUT", "/scaletozero/leases/job"),
    ("DELETE", "/scaletozero/leases/job"),
]
CHANGES += [(method, f"/api{path}") for method, path in CHANGES]
ASKS = [("GET", "/scaletozero"), ("GET", "/api/scaletozero")]
PAGE = {"origin": "http://evil.example"}
OUR_PAGE = {"sec-fetch-site": "same-origin"}


@dataclass(frozen=True)
class Case:
    """One caller."""

    who: str
    credentials: str
    """`none`, `api`, `admin`, `user` or `wrong`, in the header, or as `-cookie` or `-query` says."""
    address: str
    headers: dict[str, str] = field(default_factory=dict)
    change: int = 200
    """Status of a change; 200 stands for done."""
    ask: int = 200
    """Status of a question."""


CASES = [
    Case("the API token from anywhere", "api", STRANGER),
    Case("an admin", "admin", STRANGER),
    Case("an admin by query", "admin-query", STRANGER),
    Case("an admin on this machine", "admin", LOOPBACK),
    Case("the API token on this machine", "api", LOOPBACK),
    Case("a user", "user", STRANGER, change=403, ask=403),
    Case("a wrong token", "wrong", STRANGER, change=401, ask=401),
    Case("a stranger", "none", STRANGER, change=401, ask=401),
    Case("somebody on this machine", "none", LOOPBACK, change=401, ask=401),
    Case("a trusted network", "none", TRUSTED),
    Case("a trusted network with a wrong token", "wrong", TRUSTED),
    Case("a trusted network as a user", "user", TRUSTED),
    Case("a page on a trusted network", "none", TRUSTED, PAGE, change=403, ask=401),
    Case("our page on a trusted network", "none", TRUSTED, OUR_PAGE, change=403, ask=401),
    Case("an admin's cookie", "admin-cookie", STRANGER, change=403),
    Case("an admin's page", "admin-cookie", STRANGER, OUR_PAGE, change=403),
    Case("a user's page", "user-cookie", STRANGER, OUR_PAGE, change=403, ask=403),
    Case("another page with an admin's cookie", "admin-cookie", STRANGER, PAGE, change=403, ask=403),
    Case("a page with the API token", "api", STRANGER, PAGE, change=403),
    Case("a page with no name", "api", STRANGER, {"origin": "null"}, change=403),
    Case("a page with the API token by query", "api-query", LOOPBACK, OUR_PAGE, change=403),
    Case("an address typed by a person", "none", LOOPBACK, {"sec-fetch-site": "none"}, change=403, ask=401),
]


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gated]:
    sections = {"server": {"proxy": True}}
    async with gated(tmp_path, sections, trusted_cidrs=["10.20.0.0/16"]) as gate:
        yield gate


async def call(gate: Gated, case: Case, method: str, path: str) -> int:
    """Make the request and return its status, 200 for whatever was done."""
    kind, _, way = case.credentials.partition("-")
    tokens = {
        "api": API_TOKEN,
        "wrong": "no-such-token",
        "admin": gate.server.log_in("Ann", admin=True)[1] if kind == "admin" else "",
        "user": gate.server.log_in("Bob")[1] if kind == "user" else "",
        "none": "",
    }
    token = tokens[kind]
    headers = {"x-forwarded-for": case.address, **case.headers}
    if way == "cookie":
        headers["cookie"] = f"NEKO_SESSION={token}"
    elif token and not way:
        headers["authorization"] = f"Bearer {token}"
    async with gate.client(None) as client:
        answer = await client.request(
            method,
            path,
            params={"token": token} if way == "query" else None,
            headers=headers,
            json={"ttl_seconds": 60} if method == "PUT" else None,
        )
    if answer.status_code >= 400:
        assert answer.json()["code"] == answer.status_code
        assert answer.json()["message"]
    return 200 if answer.status_code == 204 else answer.status_code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.who)
async def test_who_may_do_what(gate: Gated, case: Case) -> None:
    for method, path in CHANGES:
        assert await call(gate, case, method, path) == case.change, f"{method} {path}"
    assert ("+" in gate.writes) is (case.change == 200), "refused requests write nothing"
    for method, path in ASKS:
        assert await call(gate, case, method, path) == case.ask, f"{method} {path}"


async def test_nobody_is_trusted_unless_named(tmp_path: Path) -> None:
    async with gated(tmp_path, {"server": {"proxy": True}}) as gate:
        case = Case("", "none", TRUSTED)
        assert await call(gate, case, "POST", "/scaletozero/disable") == 401


async def test_a_forwarded_address_counts_only_behind_a_proxy(tmp_path: Path) -> None:
    async with gated(tmp_path, trusted_cidrs=["10.20.0.0/16"]) as gate:
        case = Case("", "none", TRUSTED)
        assert await call(gate, case, "POST", "/scaletozero/disable") == 401


async def test_the_evidence_names_who_pinned(gate: Gated) -> None:
    for case, name in (
        (Case("", "admin", STRANGER), "Ann"),
        (Case("", "none", TRUSTED), TRUSTED),
        (Case("", "api", STRANGER), "API Session"),
    ):
        assert await call(gate, case, "POST", "/scaletozero/disable") == 200
        [hold] = (await gate.evidence())["holds"]
        assert (hold["kind"], hold["label"]) == ("pin", name)
