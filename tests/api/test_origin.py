"""A cookie speaks for a person only when our own page, or one that is listed, makes the request."""

import pytest

from streamserver.api.origin import cookie_may_count, same_host
from tests.api.running import Running, running

FOREIGN = "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": FOREIGN}, False),
        ({"origin": "null"}, False),
        ({"origin": FOREIGN, "sec-fetch-site": "cross-site"}, False),
    ],
)
async def test_a_change_by_cookie_needs_our_own_page(
    server: Running, headers: dict[str, str], allowed: bool
) -> None:
    session, token = server.log_in("eve")
    async with server.client() as client:
        answer = await client.post("/api/logout", headers={"cookie": f"NEKO_SESSION={token}", **headers})
    assert answer.status_code == (200 if allowed else 403)
    assert (server.sessions.get(session.id) is None) == allowed


async def test_our_own_origin_counts_where_the_browser_sends_nothing_better(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client() as client:
        headers = {"cookie": f"NEKO_SESSION={token}", "origin": server.url}
        assert (await client.post("/api/logout", headers=headers)).status_code == 200


async def test_another_origins_page_cannot_read_by_cookie_either(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client() as client:
        headers = {"cookie": f"NEKO_SESSION={token}", "origin": FOREIGN}
        assert (await client.get("/api/sessions", headers=headers)).status_code == 403


async def test_a_token_needs_no_origin(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client(token) as client:
        headers = {"origin": FOREIGN, "sec-fetch-site": "cross-site"}
        assert (await client.post("/api/logout", headers=headers)).status_code == 200


async def test_another_origins_page_cannot_sign_a_person_in(server: Running) -> None:
    async with server.client() as client:
        body = {"username": "x", "password": "neko", "cookie": True}
        answer = await client.post("/api/login", json=body, headers={"origin": FOREIGN})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("cors", "status"), [([FOREIGN], 200), (["*"], 403), (["https://other.example"], 403)]
)
async def test_a_listed_origin_may_use_the_cookie_and_the_star_lists_none(
    cors: list[str], status: int
) -> None:
    async with running({"server": {"cors": cors}}) as server, server.client() as client:
        _, token = server.log_in("eve")
        headers = {"cookie": f"NEKO_SESSION={token}", "origin": FOREIGN, "sec-fetch-site": "cross-site"}
        assert (await client.post("/api/logout", headers=headers)).status_code == status


def test_hosts_are_compared_with_their_ports() -> None:
    assert same_host("https://a.example", "a.example")
    assert same_host("http://a.example:8080", "A.example:8080")
    assert same_host("http://[::1]:80", "[::1]")
    assert not same_host("http://a.example:8080", "a.example")
    assert not same_host("http://a.example.evil", "a.example")
    assert not same_host("http://[", "[")
    assert not same_host("null", "null")


def test_a_websocket_of_another_page_does_not_count() -> None:
    assert not cookie_may_count("CONNECT", {"sec-fetch-site": "same-site", "host": "a"}, ())
    assert cookie_may_count("CONNECT", {"origin": "http://a", "host": "a"}, ())


async def test_cors_answers_preflights_of_listed_origins_with_nekos_rules() -> None:
    async with running({"server": {"cors": [FOREIGN]}}) as server, server.client() as client:
        asks = {"access-control-request-method": "DELETE", "access-control-request-headers": "authorization"}
        answer = await client.options("/api/sessions/x", headers={"origin": FOREIGN, **asks})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == FOREIGN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-max-age"] == "300"
        assert set(answer.headers["access-control-allow-methods"].split(", ")) == {
            "GET",
            "POST",
            "DELETE",
            "OPTIONS",
        }
        simple = await client.get("/health", headers={"origin": FOREIGN})
        assert simple.headers["access-control-allow-origin"] == FOREIGN
        assert simple.headers["access-control-expose-headers"] == "Link"
        other = await client.get("/health", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_without_cors_no_origin_is_allowed(server: Running) -> None:
    async with server.client() as client:
        answer = await client.get("/health", headers={"origin": FOREIGN})
        assert "access-control-allow-origin" not in answer.headers
        asks = {"origin": FOREIGN, "access-control-request-method": "GET"}
        assert (await client.options("/api/whoami", headers=asks)).status_code == 405


async def test_the_star_echoes_the_origin() -> None:
    async with running({"server": {"cors": ["*"]}}) as server, server.client() as client:
        answer = await client.get("/health", headers={"origin": FOREIGN})
        assert answer.headers["access-control-allow-origin"] == FOREIGN
