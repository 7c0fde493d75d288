"""Files over real connections: who may, what is refused, and what the directory looks like afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugins.filetransfer import plugin
from plugins.filetransfer.names import UNFINISHED
from plugins.filetransfer.settings import FileTransferSettings
from tests.plugins.hosting import Hosted, Person, hosting
from tests.waiting import until

ROOT = Path(__file__).parents[2]
ALL = {"user_download": True, "user_upload": True, "user_delete": True}


@asynccontextmanager
async def sharing(directory: Path, **settings: Any) -> AsyncIterator[Hosted]:
    chosen = FileTransferSettings.model_validate({"enabled": True, "dir": directory, **settings})
    async with hosting(plugin(), chosen, directory.parent) as hosted:
        yield hosted


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir()
    return directory


async def upload(
    room: Hosted, who: Person, *files: tuple[str, bytes], field: str = "files"
) -> httpx.Response:
    async with room.server.client(who.token) as client:
        return await client.post("/api/filetransfer", files=[("files", file) for file in files])


async def get(room: Hosted, who: Person, name: str, **headers: str) -> httpx.Response:
    async with room.server.client(who.token) as client:
        return await client.get("/api/filetransfer", params={"filename": name}, headers=headers)


async def delete(room: Hosted, who: Person, name: str) -> httpx.Response:
    async with room.server.client(who.token) as client:
        return await client.delete("/api/filetransfer", params={"filename": name})


def message(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


async def test_a_file_goes_up_is_listed_comes_down_and_goes(shared: Path) -> None:
    (shared / "folder").mkdir()
    async with sharing(shared, **ALL) as room:
        ann, bob = await room.join("ann"), await room.join("bob")
        first = await bob.hear("filetransfer/update")
        assert first == {
            "enabled": True, "root_dir": str(shared), **ALL, "files": [{"name": "folder", "type": "dir"}],
        }  # fmt: skip
        content = os.urandom(3_000_000)
        answer = await upload(room, ann, ("ä b.bin", content), ("empty", b""))
        assert (answer.status_code, answer.content) == (200, b"")
        await until_listed(bob, {"folder": None, "ä b.bin": len(content), "empty": 0})
        answer = await get(room, bob, "ä b.bin")
        assert answer.content == content
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''%C3%A4%20b.bin"
        assert (await delete(room, bob, "empty")).status_code == 200
        await until_listed(ann, {"folder": None, "ä b.bin": len(content)})
        assert message(await delete(room, bob, "empty")) == (404, "file not found")
        assert message(await delete(room, bob, "folder")) == (404, "file not found")


async def until_listed(person: Person, expected: dict[str, int | None]) -> None:
    while True:
        files = (await person.hear("filetransfer/update"))["files"]
        if {entry["name"]: entry.get("size") for entry in files} == expected:
            return


async def test_who_may_do_what(shared: Path) -> None:
    (shared / "a").write_text("content")
    async with sharing(shared) as room:
        ann, ada = await room.join("ann"), await room.join("ada", admin=True)
        off = await room.join("off", admin=True, plugins={"filetransfer.enabled": False})
        sentence = "file {} is not allowed for non-admin users"
        assert message(await get(room, ann, "a")) == (403, sentence.format("download"))
        assert message(await upload(room, ann, ("b", b"x"))) == (403, sentence.format("upload"))
        assert message(await delete(room, ann, "a")) == (403, sentence.format("delete"))
        assert (await upload(room, ada, ("b", b"x"))).status_code == 200
        assert (await get(room, ada, "a")).text == "content"
        assert (await delete(room, ada, "b")).status_code == 200

        hidden = await off.hear("filetransfer/update")
        assert (hidden["enabled"], hidden["root_dir"], hidden["files"]) == (False, "", None)
        assert message(await get(room, off, "a")) == (403, "file transfer is disabled")
        room.server.sessions.update_room(None, plugins={"filetransfer.enabled": False})
        while (await ann.hear("filetransfer/update"))["enabled"]:
            pass
        assert message(await get(room, ann, "a")) == (403, "file transfer is disabled")
        assert (await get(room, ada, "a")).status_code == 200
        await ann.send("filetransfer/update")
        assert (await ann.hear("filetransfer/update"))["files"] is None
        async with room.server.client() as nobody:
            assert (await nobody.get("/api/filetransfer?filename=a")).status_code == 401


async def test_switched_off_it_touches_nothing(tmp_path: Path) -> None:
    async with sharing(tmp_path / "never", enabled=False) as room:
        ada = await room.join("ada", admin=True)
        assert (await ada.hear("filetransfer/update"))["enabled"] is False
        assert message(await upload(room, ada, ("a", b"x"))) == (403, "file transfer is disabled")
    assert not (tmp_path / "never").exists()


PATHS = [
    "",
    ".",
    "..",
    "../secret",
    "/etc/passwd",
    "folder/inside",
    "a\0b",
    "x" * 256,
    f"{UNFINISHED}1",
    "..%2fsecret/",
]


async def test_no_name_leads_out_of_the_directory(shared: Path) -> None:
    (shared.parent / "secret").write_text("secret")
    (shared / "folder").mkdir()
    (shared / "folder" / "inside").write_text("secret")
    (shared / f"{UNFINISHED}1").write_text("half")
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        for name in PATHS:
            assert message(await get(room, ann, name)) == (400, "bad filename"), name
            assert message(await delete(room, ann, name)) == (400, "bad filename"), name
        assert (await get(room, ann, "folder")).status_code == 404
        for name in ("../../up", "/abs/up", "folder/up"):
            assert (await upload(room, ann, (name, b"x"))).status_code == 200
        for name in ("..", "a/..", "x" * 256, "line\nbreak", "\u202etxt.exe", f"{UNFINISHED}2", "esc\x1b"):
            status, why = message(await upload(room, ann, (name, b"x")))
            assert (status, why.partition(":")[0]) == (400, "bad filename"), name
        assert message(await upload(room, ann, ("folder", b"x")))[0] == 400
    assert sorted(path.name for path in shared.iterdir()) == ["folder", "up"]
    assert (shared.parent / "secret").read_text() == "secret"
    assert [path.name for path in (shared / "folder").iterdir()] == ["inside"]


async def test_links_pipes_and_odd_names_in_the_directory(shared: Path) -> None:
    secret = shared.parent / "secret"
    secret.write_text("secret")
    (shared / "link").symlink_to(secret)
    (shared / "to-root").symlink_to("/")
    os.mkfifo(shared / "pipe")
    odd = ["-rf", " ", "a'\"`$(x).txt", "<b>", "line\nbreak", "🐈" * 63, "%2e%2e", "con", ".hidden"]
    for name in odd:
        (shared / name).write_text(name)
    Path(os.fsdecode(os.fsencode(shared) + b"/not-text-\xff")).write_text("x")
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        listed = [entry["name"] for entry in (await ann.hear("filetransfer/update"))["files"]]
        assert listed == sorted(odd)
        for name in odd:
            assert (await get(room, ann, name)).text == name
        for name in ("link", "to-root", "pipe"):
            assert (await get(room, ann, name)).status_code == 404
            assert (await delete(room, ann, name)).status_code == 404
        assert (await upload(room, ann, ("link", b"mine"))).status_code == 200
    assert secret.read_text() == "secret"
    assert (shared / "link").read_text() == "mine"
    assert not (shared / "link").is_symlink()


async def test_a_directory_that_becomes_a_link_is_not_followed(shared: Path) -> None:
    elsewhere = shared.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        shared.rmdir()
        shared.symlink_to(elsewhere)
        await ann.send("filetransfer/update")
        assert (await get(room, ann, "secret")).status_code == 404
        assert (await upload(room, ann, ("new", b"x"))).status_code >= 400
        assert (await ann.hear("filetransfer/update"))["files"] == []
    assert [path.name for path in elsewhere.iterdir()] == ["secret"]


async def test_many_upload_one_name_and_one_of_them_wins_whole(shared: Path) -> None:
    contents = [bytes([n]) * 400_000 for n in range(12)]
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        answers = await asyncio.gather(*(upload(room, ann, ("same", content)) for content in contents))
        assert {answer.status_code for answer in answers} == {200}
        assert (shared / "same").read_bytes() in contents
        assert [path.name for path in shared.iterdir()] == ["same"]


async def test_a_shorter_file_replaces_a_longer_one(shared: Path) -> None:
    """neko writes over the beginning and leaves the rest of the old file."""
    (shared / "a").write_text("a long content")
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        assert (await upload(room, ann, ("a", b"short"))).status_code == 200
    assert (shared / "a").read_text() == "short"


async def test_what_is_too_large_is_refused_and_leaves_nothing(shared: Path) -> None:
    async with sharing(shared, **ALL, max_upload="2MiB") as room:
        ann = await room.join("ann")
        assert (await upload(room, ann, ("fits", bytes(1_500_000)))).status_code == 200
        status, why = message(await upload(room, ann, ("large", bytes(2_200_000))))
        assert status == 413
        assert "filetransfer.max_upload" in why

        async def endless() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="endless"\r\n\r\n'
            for _ in range(40):
                yield bytes(64 * 1024)

        async with room.server.client(ann.token) as client:
            kind = {"content-type": "multipart/form-data; boundary=b"}
            answer = await client.post("/api/filetransfer", content=endless(), headers=kind)
        assert answer.status_code == 413
    assert [path.name for path in shared.iterdir()] == ["fits"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two MiB, in a file system of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


async def test_a_full_disk_is_survived(small_disk: Path) -> None:
    async with sharing(small_disk, **ALL) as room:
        ann = await room.join("ann")
        assert (await upload(room, ann, ("fits", bytes(1_000_000)))).status_code == 200
        refusals = await asyncio.gather(*(upload(room, ann, (f"{n}", bytes(1_900_000))) for n in range(3)))
        assert [message(answer) for answer in refusals] == [(507, "no space left for the file")] * 3
        assert [path.name for path in small_disk.iterdir()] == ["fits"]
        assert (await delete(room, ann, "fits")).status_code == 200
        assert (await upload(room, ann, ("again", bytes(1_900_000)))).status_code == 200


async def test_a_large_file_is_never_in_memory(shared: Path) -> None:
    size, piece = 128 * 1024 * 1024, os.urandom(1024 * 1024)

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="large"\r\n\r\n'
        for _ in range(size // len(piece)):
            yield piece
        yield b"\r\n--b--\r\n"

    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with room.server.client(ann.token) as client:
            kind = {"content-type": "multipart/form-data; boundary=b"}
            assert (await client.post("/api/filetransfer", content=body(), headers=kind)).status_code == 200
            received = 0
            async with client.stream("GET", "/api/filetransfer?filename=large") as answer:
                async for content in answer.aiter_raw():
                    received += len(content)
        assert received == size
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024


async def test_a_client_that_breaks_off_leaves_nothing(shared: Path) -> None:
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        _, port = room.server.url.rsplit(":", 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        head = (
            f"POST /api/filetransfer?token={ann.token} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="files"; filename="half"\r\n\r\n'
        )
        writer.write(head.encode() + bytes(300_000))
        await until(
            lambda: any(path.stat().st_size > 200_000 for path in shared.iterdir()),
            within=5,
            what="the upload is on its way",
        )
        assert [path.name.startswith(UNFINISHED) for path in shared.iterdir()] == [True]
        await ann.send("filetransfer/update")
        assert (await ann.hear("filetransfer/update"))["files"] == []
        writer.transport.abort()
        await until(lambda: not list(shared.iterdir()), within=5, what="nothing is left")
        del reader


OTHER_FIELD = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no boundary here"),
        ("multipart/form-data; boundary=b", OTHER_FIELD),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: " + b"y" * 100_000),
        ("multipart/form-data; boundary=" + "b" * 5000, b"--b"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="half"\r\n\r\nbroken off',
        ),
    ],
)  # fmt: skip
async def test_what_is_no_form(shared: Path, content_type: str, body: bytes) -> None:
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        async with room.server.client(ann.token) as client:
            answer = await client.post(
                "/api/filetransfer", content=body, headers={"content-type": content_type}
            )
        assert message(answer) == (400, "error parsing form")
    assert list(shared.iterdir()) == []


async def test_what_a_killed_server_left_is_removed(shared: Path) -> None:
    (shared / f"{UNFINISHED}old").write_text("half")
    async with sharing(shared):
        pass
    assert list(shared.iterdir()) == []


async def test_a_directory_that_is_made_belongs_to_the_owner_of_the_one_around_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 23456)
    async with sharing(home / "a" / "Downloads", **ALL) as room:
        ann = await room.join("ann")
        assert (await upload(room, ann, ("x", b"x"))).status_code == 200
    for path in (home / "a", home / "a" / "Downloads", home / "a" / "Downloads" / "x"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456), path
    assert stat.S_IMODE((home / "a" / "Downloads" / "x").stat().st_mode) == 0o644


async def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match=r"filetransfer\.dir .*name another directory"):
        async with sharing(tmp_path / "file" / "below"):
            pass


async def test_changes_from_outside_are_told_without_asking(shared: Path) -> None:
    async with sharing(shared, refresh_interval=0, **ALL) as room:
        ann = await room.join("ann")
        assert (await ann.hear("filetransfer/update"))["files"] == []
        (shared / "new").write_text("12345")
        await until_listed(ann, {"new": 5})
        (shared / "new").rename(shared / "renamed")
        await until_listed(ann, {"renamed": 5})
        with (shared / "renamed").open("a") as file:
            file.write("678")
        await until_listed(ann, {"renamed": 8})
        (shared / "renamed").unlink()
        await until_listed(ann, {})
        assert await ann.heard("filetransfer/update") == []
        await ann.send("filetransfer/update")
        assert (await ann.hear("filetransfer/update"))["files"] == []


async def test_a_directory_that_was_replaced_is_found_again(shared: Path) -> None:
    (shared / "a").write_text("1")
    async with sharing(shared, refresh_interval=0.3, **ALL) as room:
        ann = await room.join("ann")
        shared.rename(shared.parent / "away")
        await until_listed(ann, {})
        shared.mkdir()
        (shared / "b").write_text("22")
        await until_listed(ann, {"b": 2})
        (shared / "c").write_text("")
        await until_listed(ann, {"b": 2, "c": 0})


async def test_nothing_is_done_while_nothing_happens(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sharing(shared, refresh_interval=0.05) as room:
        reads: list[int] = []
        directory_list = type(room_directory(room)).list

        def counted(directory: Any) -> Any:
            reads.append(1)
            return directory_list(directory)

        monkeypatch.setattr("plugins.filetransfer.directory.SharedDirectory.list", counted)
        ann = await room.join("ann")
        await until(lambda: len(reads) >= 2, within=5, what="the list is read while somebody is here")
        await ann.connection.close(1000)
        await until(lambda: not room.server.sessions.get("ann").is_connected, within=5, what="she left")  # type: ignore[union-attr]
        timers = transfer_of(room)
        await until(lambda: timers() is None, within=5, what="nothing waits any more")
        count = len(reads)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert len(reads) <= count + 1


def room_directory(room: Hosted) -> Any:
    return transfer(room)._listing._directory


def transfer_of(room: Hosted) -> Any:
    return lambda: transfer(room)._timer


def transfer(room: Hosted) -> Any:
    return room.plugin._transfer  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-999", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=" + "9" * 30 + "-", 200, b"0123456789", None),
    ],
)
async def test_parts_of_a_file(
    shared: Path, asked: str, status: int, content: bytes, told: str | None
) -> None:
    (shared / "a").write_bytes(b"0123456789")
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        answer = await get(room, ann, "a", range=asked)
        assert (answer.status_code, answer.content) == (status, content)
        assert answer.headers.get("content-range") == told
        etag = answer.headers["etag"]
        assert (await get(room, ann, "a", **{"if-none-match": etag})).status_code == 304
        changed = await get(room, ann, "a", range=asked, **{"if-range": '"another"'})
        assert changed.status_code == 200 or status == 416


async def test_only_so_many_are_listed(shared: Path) -> None:
    for number in range(1100):
        (shared / f"{number:05}").touch()
    async with sharing(shared, **ALL) as room:
        ann = await room.join("ann")
        files = (await ann.hear("filetransfer/update"))["files"]
        assert [entry["name"] for entry in files] == [f"{number:05}" for number in range(1000)]
        assert (await get(room, ann, "01099")).status_code == 200


def test_the_documentation_has_it_all() -> None:
    text = (ROOT / "docs" / "filetransfer.md").read_text(encoding="utf-8")
    for name in FileTransferSettings.model_fields:
        assert f"`filetransfer.{name}`" in text
    for name in (
        "filetransfer/update",
        "GET /api/filetransfer",
        "POST /api/filetransfer",
        "DELETE /api/filetransfer",
    ):
        assert f"`{name}" in text
