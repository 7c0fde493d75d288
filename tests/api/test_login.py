"""Logging in and out, and the ways to show who one is."""

import time

import httpx
import pytest

from tests.api.running import API_TOKEN, Running, running

USER = {"username": "eve", "password": "neko"}
ADMIN = {"username": "ada", "password": "admin"}


async def test_a_login_gives_id_profile_state_and_token(server: Running) -> None:
    async with server.client() as client:
        answer = await client.post("/api/login", json=ADMIN)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"id", "token", "profile", "state"}
    assert body["id"].startswith("ada-")
    assert len(body["token"]) == 64
    assert body["profile"]["is_admin"] is True
    assert body["profile"]["plugins"] is None
    assert body["state"] == {"is_connected": False, "is_watching": False}
    assert "set-cookie" not in answer.headers


async def test_a_login_by_cookie_keeps_the_token_from_scripts(server: Running) -> None:
    async with server.client() as client:
        answer = await client.post("/api/login", json={**USER, "cookie": True})
        assert "token" not in answer.json()
        cookie = answer.headers["set-cookie"]
        name, *attributes = cookie.split("; ")
        assert name.startswith("NEKO_SESSION=")
        assert {a.lower() for a in attributes} == {"httponly", "samesite=strict", "path=/", "max-age=86400"}
        assert (await client.get("/api/whoami")).json()["id"] == answer.json()["id"]


async def test_in_cookie_mode_every_login_answers_with_a_cookie() -> None:
    async with running({"session": {"cookie": {"enabled": True}}}) as server, server.client() as client:
        answer = await client.post("/api/login", json=USER)
        assert "token" not in answer.json()
        assert "HttpOnly" in answer.headers["set-cookie"]


async def test_behind_a_tls_proxy_the_cookie_is_secure_and_its_path_is_the_prefix() -> None:
    sections = {"server": {"proxy": True, "path_prefix": "/neko"}}
    async with running(sections) as server, server.client() as client:
        headers = {"x-forwarded-proto": "https"}
        answer = await client.post("/neko/api/login", json={**USER, "cookie": True}, headers=headers)
        attributes = answer.headers["set-cookie"].lower().split("; ")
        assert "secure" in attributes
        assert "path=/neko" in attributes


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no data provided"),
        (b"{", "unable to parse provided data"),
        (b"[]", "unable to parse provided data"),
        (b'"text"', "unable to parse provided data"),
        (b'{"username": 5, "password": "neko"}', "unable to parse provided data"),
        (b'{"username": "\\ud800", "password": "neko"}', "unable to parse provided data"),
        (b"\xff\xfe\x00", "unable to parse provided data"),
        (b'{"username": "' + b"x" * 300 + b'"}', "unable to parse provided data"),
        (b"[" * 100_000, "unable to parse provided data"),
    ],
)
async def test_a_malformed_body_is_refused_with_nekos_words(
    server: Running, body: bytes, message: str
) -> None:
    async with server.client() as client:
        answer = await client.post("/api/login", content=body)
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": message})


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_the_content_type_does_not_matter(server: Running, kind: str | None) -> None:
    async with server.client() as client:
        headers = {"content-type": kind} if kind else {}
        answer = await client.post("/api/login", content=b'{"password":"neko","x":1}', headers=headers)
    assert answer.status_code == 200


async def test_wrong_passwords_and_unknown_users_are_told_the_same_in_the_same_time(server: Running) -> None:
    answers, times = [], []
    async with server.client() as client:
        for body in ({"username": "eve", "password": "x"}, {"username": "nobody", "password": ""}, {}):
            started = time.perf_counter()
            answers.append(await client.post("/api/login", json=body))
            times.append(time.perf_counter() - started)
    assert {(a.status_code, a.text) for a in answers} == {(401, '{"code":401,"message":"Unauthorized"}')}
    assert max(times) - min(times) < 0.15
    assert min(times) >= 0.25


async def test_guessing_is_slowed_down_and_told_for_how_long(server: Running) -> None:
    async with server.client() as client:
        codes = [
            (await client.post("/api/login", json={"username": f"u{n}", "password": "x"})).status_code
            for n in range(6)
        ]
        assert codes == [401] * 6
        refused = await client.post("/api/login", json=USER)
    assert refused.status_code == 429
    assert refused.json()["code"] == 429
    assert refused.headers["retry-after"] == "1"


async def test_without_a_login_delay_nothing_is_slowed_down() -> None:
    async with running({"session": {"login_delay": 0}}) as server, server.client() as client:
        for _ in range(8):
            await client.post("/api/login", json={"password": "x"})
        assert (await client.post("/api/login", json=USER)).status_code == 200


async def test_a_trusted_proxy_tells_whose_failures_they_are() -> None:
    async with running({"server": {"proxy": True}}) as server, server.client() as client:
        for n in range(6):
            headers = {"x-forwarded-for": f"6.6.6.{n}, 10.0.0.1"}
            await client.post("/api/login", json={"password": "x"}, headers=headers)
        guesser, other = {"x-forwarded-for": "9.9.9.9, 10.0.0.1"}, {"x-forwarded-for": "10.0.0.2"}
        assert (await client.post("/api/login", json=USER, headers=guesser)).status_code == 429
        assert (await client.post("/api/login", json=USER, headers=other)).status_code == 200


async def test_without_a_trusted_proxy_forwarded_addresses_are_not_believed(server: Running) -> None:
    async with server.client() as client:
        for n in range(6):
            await client.post(
                "/api/login", json={"password": "x"}, headers={"x-forwarded-for": f"10.0.0.{n}"}
            )
        answer = await client.post("/api/login", json=USER, headers={"x-forwarded-for": "10.0.0.9"})
    assert answer.status_code == 429


async def test_locked_logins_let_only_admins_in(server: Running) -> None:
    server.sessions.update_room(None, locked_logins=True)
    async with server.client() as client:
        refused = await client.post("/api/login", json=USER)
        assert (refused.status_code, refused.json()["message"]) == (403, "logins are locked")
        assert (await client.post("/api/login", json=ADMIN)).status_code == 200


async def test_a_full_house_says_so() -> None:
    async with running({"session": {"max_sessions": 1}}) as server, server.client() as client:
        session, _ = server.log_in("a")
        await server.connect(session)
        answer = await client.post("/api/login", json=USER)
    assert answer.status_code == 503
    assert "session.max_sessions" in answer.json()["message"]


async def test_logging_out_ends_the_session_and_clears_the_cookie(server: Running) -> None:
    async with server.client() as client:
        await client.post("/api/login", json={**USER, "cookie": True})
        answer = await client.post("/api/logout")
        assert (answer.status_code, answer.json()) == (200, True)
        assert 'NEKO_SESSION=""' in answer.headers["set-cookie"]
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert (await client.get("/api/whoami")).status_code == 401
    assert server.sessions.list() == []


async def test_the_api_token_is_an_admin_that_cannot_log_out(server: Running) -> None:
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/whoami")).json()["id"] == "API"
        answer = await client.post("/api/logout")
    assert (answer.status_code, answer.json()["message"]) == (400, "session is not logged in")


async def test_the_token_counts_in_header_address_and_cookie(server: Running) -> None:
    _, token = server.log_in("eve")
    async with server.client() as client:
        for request in (
            client.build_request("GET", "/api/whoami", headers={"authorization": f"Bearer {token}"}),
            client.build_request("GET", "/api/whoami", headers={"authorization": f"bearer  {token}"}),
            client.build_request("GET", f"/api/whoami?token={token}"),
            client.build_request("GET", "/api/whoami", headers={"cookie": f"NEKO_SESSION={token}"}),
        ):
            assert (await client.send(request)).status_code == 200


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Bearer", "Basic YTpi", "Bearer \x80\xff", ""])
async def test_an_unknown_token_is_unauthorized_and_clears_the_cookie(
    server: Running, authorization: str
) -> None:
    headers = httpx.Headers({"cookie": "NEKO_SESSION=old"}, encoding="latin-1")
    if authorization:
        headers["authorization"] = authorization
    async with server.client() as client:
        answer = await client.get("/api/whoami", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Unauthorized"})
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_who_may_not_log_in_is_told_so(server: Running) -> None:
    _, token = server.log_in("eve", can_login=False)
    async with server.client(token) as client:
        answer = await client.get("/api/whoami")
    assert (answer.status_code, answer.json()["message"]) == (403, "login is disabled for this session")
