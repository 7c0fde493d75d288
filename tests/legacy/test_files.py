"""`/file` of version 2 with the plugin it leads to: real sockets, a real directory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.filetransfer import plugin
from plugins.filetransfer.settings import FileTransferSettings
from tests.legacy.version2 import version2
from tests.plugins.hosting import Hosted, hosting

USER, ADMIN = {"usr": "bob", "pwd": "neko"}, {"usr": "root", "pwd": "admin"}
LARGER_THAN_OTHER_BODIES = os.urandom(3_000_000)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir()
    return directory


@pytest.fixture
async def room(shared: Path) -> AsyncIterator[Hosted]:
    """A room in which everybody may fetch files, and admins may add and delete them."""
    settings = FileTransferSettings.model_validate({"enabled": True, "dir": shared, "user_download": True})
    async with hosting(plugin(), settings, shared.parent) as hosted:
        yield hosted


async def test_a_file_goes_up_is_told_comes_down_and_goes(room: Hosted, shared: Path) -> None:
    name, content = "ä & b?.bin", LARGER_THAN_OTHER_BODIES
    async with room.server.client() as client, version2(room.server, "ann", "neko") as ann:
        first = await ann.until("filetransfer/list")
        assert (first["cwd"], first["files"]) == (str(shared), [])
        sent = await client.post("/file", params=ADMIN, files=[("files", (name, content))])
        assert (sent.status_code, sent.content) == (200, b"")
        while not (listed := await ann.until("filetransfer/list"))["files"]:
            pass
        assert listed["files"] == [{"name": name, "type": "file", "size": len(content)}]

        whole = await client.get("/file", params={**USER, "filename": name})
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["content-disposition"].startswith("attachment")
        part = await client.get("/file", params={**USER, "filename": name}, headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, content[10:20])

        gone = await client.delete("/file", params={**ADMIN, "filename": name})
        assert gone.status_code == 200
        while (await ann.until("filetransfer/list"))["files"]:
            pass
        assert list(shared.iterdir()) == []
        await ann.send("filetransfer/refresh")
        assert (await ann.until("filetransfer/list"))["files"] == []
        assert [session.profile.name for session in room.server.sessions.list()] == ["ann"]


async def test_the_rights_are_those_of_who_logs_in(room: Hosted, shared: Path) -> None:
    (shared / "a").write_text("content")
    async with room.server.client() as client:
        for refused in (
            await client.post("/file", params=USER, files=[("files", ("b", b"x"))]),
            await client.delete("/file", params={**USER, "filename": "a"}),
            await client.get("/file", params={"usr": "bob", "pwd": "wrong", "filename": "a"}),
            await client.get("/file", params={"filename": "a"}),
        ):
            assert refused.status_code == 403
        for name in ("../a", "/etc/passwd", "..%2fa", ""):
            answer = await client.get("/file", params={**ADMIN, "filename": name})
            assert answer.status_code in (400, 404)
        missing = await client.get("/file", params={**USER, "filename": "b"})
        assert missing.status_code == 404
        nonsense = await client.post("/file", params=ADMIN, content=b"no form")
        assert nonsense.status_code == 400
        assert [path.name for path in shared.iterdir()] == ["a"]
        assert room.server.sessions.list() == []


async def test_the_lock_of_version_2_closes_the_files(room: Hosted, shared: Path) -> None:
    (shared / "a").write_text("content")
    async with room.server.client() as client, version2(room.server, "root", "admin") as root:
        await root.until("filetransfer/list")
        await root.send("admin/lock", resource="file_transfer")
        assert (await root.until("admin/lock"))["resource"] == "file_transfer"
        closed = await client.get("/file", params={**USER, "filename": "a"})
        assert (closed.status_code, closed.json()["message"]) == (403, "file transfer is disabled")
        await root.send("admin/unlock", resource="file_transfer")
        await root.until("admin/unlock")
        assert (await client.get("/file", params={**USER, "filename": "a"})).text == "content"
