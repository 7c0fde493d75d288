"""The page's files, and nothing else."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.api.layers import CONTENT_SECURITY_POLICY
from streamserver.api.static import BUNDLED, OWN_PAGE_POLICY, find_file
from tests.api.running import Running, running


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Running]:
    root = tmp_path / "page"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<p>hello")
    (root / "main.js").write_text("1;")
    (root / "sub" / "index.html").write_text("sub")
    (root / "_shared-4a1c.js").write_text("2;")
    (root / ".secret").write_text("secret")
    (root / "__init__.py").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "loop").symlink_to(root / "loop")
    async with running({"server": {"static": str(root)}}) as up:
        yield up


async def test_files_are_served_with_type_etag_and_the_policy(page: Running) -> None:
    async with page.client() as client:
        index = await client.get("/")
        assert (index.status_code, index.text) == (200, "<p>hello")
        assert index.headers["content-type"].startswith("text/html")
        assert index.headers["content-security-policy"] == OWN_PAGE_POLICY
        assert index.headers["cache-control"] == "no-cache"
        assert index.headers["x-content-type-options"] == "nosniff"
        assert index.headers["referrer-policy"] == "no-referrer"
        assert (await client.get("/main.js")).headers["content-type"].startswith("text/javascript")
        assert (await client.get("/sub/")).text == "sub"
        assert (await client.get("/_shared-4a1c.js")).text == "2;", "bundlers begin names so"
        answer = await client.get("/api/whoami")
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        tagged = await client.get("/", headers={"if-none-match": f'"x", W/{index.headers["etag"]}'})
        assert (tagged.status_code, tagged.content) == (304, b"")


async def test_a_changed_file_has_another_etag(page: Running, tmp_path: Path) -> None:
    async with page.client() as client:
        before = (await client.get("/main.js")).headers["etag"]
        (tmp_path / "page" / "main.js").write_text("22;")
        after = await client.get("/main.js", headers={"if-none-match": before})
    assert (after.status_code, after.text) == (200, "22;")


async def test_head_tells_the_same_without_the_content(page: Running) -> None:
    async with page.client() as client:
        head, get = await client.head("/main.js"), await client.get("/main.js")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type"):
        assert head.headers[name] == get.headers[name]


TRAVERSALS = [
    "/../outside.txt",
    "/%2e%2e/outside.txt",
    "/..%2foutside.txt",
    "/sub/..%2f..%2foutside.txt",
    "/sub/../../outside.txt",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/..%5coutside.txt",
    "/link.txt",
    "/loop",
    "/.secret",
    "/sub/%2esecret",
    "/__init__.py",
    "/main.js%00.html",
    "/main.js/",
    "/sub",
    "/" + "a" * 5000,
    "/%ff%fe",
    "/nothing",
]


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_what_is_not_the_pages_is_not_found(page: Running, path: str) -> None:
    # by hand: a client library would tidy the path up
    with socket.create_connection(("127.0.0.1", page.http.port)) as raw:
        raw.setblocking(False)
        answer = await _exchange(raw, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"404 page not found\n")


async def _exchange(raw: socket.socket, request: bytes) -> bytes:
    import asyncio

    loop = asyncio.get_running_loop()
    await loop.sock_sendall(raw, request)
    answer = b""
    while piece := await loop.sock_recv(raw, 65536):
        answer += piece
    return answer


async def test_unknown_paths_and_methods_are_answered_as_neko_does(page: Running) -> None:
    async with page.client() as client:
        for path in ("/nothing", "/api/nothing", "/api/sessions/a/b", "/api/whoami/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (404, "404 page not found\n"), path
            assert answer.headers["content-type"].startswith("text/plain")
        wrong = await client.delete("/api/whoami")
        assert (wrong.status_code, wrong.content) == (405, b"")
        assert (await client.post("/index.html")).status_code == 404


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "a", "/", "\0", "~", ""])).map("/".join))
def test_no_path_leads_out(path: str) -> None:
    found = find_file(BUNDLED, path)
    assert found is None or found[0].is_relative_to(BUNDLED)


async def test_the_bundled_page_is_served(server: Running) -> None:
    async with server.client() as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert 'type="module"' in answer.text
