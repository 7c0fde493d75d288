"""Members in a file: neko's format, edits by hand, damage, crashes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamserver import whole_file
from streamserver.config.settings import MemberSettings
from streamserver.members import member_file
from streamserver.members.choice import make_provider
from streamserver.members.errors import InvalidCredentials, MemberFileError
from streamserver.members.file import FileProvider
from streamserver.members.passwords import neko_hash
from streamserver.members.profile import MemberProfile
from tests.members.provider_rules import GUEST, live_a_life

NEKOS = json.dumps(
    {
        "ann": {
            "password": neko_hash("secret"),
            "profile": {"name": "Ann", "can_login": True, "is_admin": None},
        }
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "members.json"


def leftovers(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir() if entry != path]


@pytest.mark.parametrize("hashed", [True, False])
async def test_the_life_of_a_member(path: Path, hashed: bool) -> None:
    await live_a_life(FileProvider(path, hashed=hashed))
    assert leftovers(path) == []


async def test_a_missing_file_is_made_for_its_owner_only(path: Path) -> None:
    # neko: mode 0777
    old = os.umask(0)
    try:
        members = make_provider(
            MemberSettings.model_validate({"provider": "file", "file": {"path": str(path)}})
        )
        assert path.read_text() == "{}\n"
        await members.insert("ann", "secret", GUEST)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_nekos_file_is_understood_and_kept_as_it_is(path: Path) -> None:
    path.write_text(NEKOS)
    members = FileProvider(path)
    assert await members.authenticate("ann", "secret") == ("ann", MemberProfile(name="Ann", can_login=True))
    assert path.read_text() == NEKOS
    await members.update_profile("ann", {"can_host": True})
    assert json.loads(path.read_text())["ann"]["password"] == neko_hash("secret")


async def test_new_passwords_are_argon2(path: Path) -> None:
    path.write_text(NEKOS)
    members = FileProvider(path)
    await members.insert("bob", "secret", GUEST)
    await members.update_password("ann", "changed")
    kept = json.loads(path.read_text())
    assert all(kept[name]["password"].startswith("$argon2id$") for name in ("ann", "bob"))
    assert "secret" not in path.read_text()
    assert (await members.authenticate("ann", "changed"))[0] == "ann"


async def test_without_hash_passwords_are_kept_as_they_are(path: Path) -> None:
    path.write_text('{"ann": {"password": "plain"}}')
    members = FileProvider(path, hashed=False)
    assert (await members.authenticate("ann", "plain"))[0] == "ann"
    await members.insert("bob", "sëcret", GUEST)
    assert json.loads(path.read_text())["bob"]["password"] == "sëcret"
    with pytest.raises(InvalidCredentials):  # neko's hash is a plain text here, and the other way round
        await FileProvider(path, hashed=True).authenticate("ann", "plain")


async def test_an_edit_by_hand_holds_at_once(path: Path) -> None:
    members = FileProvider(path)
    for password in ("one", "two"):  # of one length, within one tick of the clock
        path.write_text(json.dumps({"ann": {"password": neko_hash(password)}}))
        assert (await members.authenticate("ann", password))[0] == "ann"
    path.unlink()
    assert await members.select_all() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"ann": 1}',
        b'{"ann": {}}',
        b'{"ann": {"password": null}}',
        b'{"ann": {"password": "x", "profile": []}}',
        b'{"ann": {"password": "x", "profile": {"can_host": "yes"}}}',
        b'{"ann": {"password": "x"}, "ann": {"password": "y"}}',
        b"[" * 100_000,
        NEKOS.encode()[:-2],
    ],
)
async def test_a_damaged_file_is_named_and_never_overwritten(path: Path, content: bytes) -> None:
    members = FileProvider(path)
    await members.insert("ann", "secret", GUEST)
    path.write_bytes(content)
    with pytest.raises(MemberFileError, match="damaged") as error:
        FileProvider(path)
    assert str(path) in str(error.value)
    with pytest.raises(MemberFileError):
        await members.authenticate("ann", "secret")
    with pytest.raises(MemberFileError):
        await members.insert("bob", "secret", GUEST)
    with pytest.raises(MemberFileError):
        await members.delete("ann")
    with pytest.raises(MemberFileError):
        await members.select_all()
    assert path.read_bytes() == content
    assert leftovers(path) == []


def test_what_is_no_file_is_refused_and_not_waited_for(path: Path) -> None:
    path.mkdir()
    with pytest.raises(MemberFileError, match=r"members\.json"):
        FileProvider(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(MemberFileError, match="is not a file"):
        FileProvider(path)
    with pytest.raises(MemberFileError, match="cannot be written"):
        FileProvider(path.parent / "missing" / "members.json")


async def test_a_symbolic_link_stays_one(path: Path) -> None:
    target = path.with_name("target.json")
    path.symlink_to(target)
    await FileProvider(path).insert("ann", "secret", GUEST)
    assert path.is_symlink()
    assert "ann" in json.loads(target.read_text())


CRASHES = ("write", "fsync", "replace")


@pytest.fixture(params=CRASHES)
def crash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The disk fails at this step."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def half_written(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        fail()

    match request.param:
        case "write":
            monkeypatch.setattr(whole_file, "_write", half_written)
        case "fsync":
            monkeypatch.setattr(os, "fsync", fail)
        case "replace":
            monkeypatch.setattr(Path, "replace", fail)
    yield request.param
    monkeypatch.undo()


async def test_a_failing_disk_leaves_the_old_file(path: Path, crash: str) -> None:
    path.write_text(NEKOS)
    members = FileProvider(path)
    with pytest.raises(MemberFileError, match=r"cannot be written: No space left on device") as error:
        await members.delete("ann")
    assert str(path) in str(error.value)
    assert path.read_text() == NEKOS
    assert leftovers(path) == []


class Killed(BaseException):
    """The process ends here: nothing is cleaned up."""


async def test_an_end_between_write_and_rename_leaves_the_old_members(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(NEKOS)
    members = FileProvider(path)

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", lambda *_: None)
        with pytest.raises(Killed):
            await members.delete("ann")
    assert len(leftovers(path)) == 1  # what a real end would leave behind
    again = FileProvider(path)
    assert (await again.authenticate("ann", "secret"))[0] == "ann"
    await again.insert("bob", "b", GUEST)
    assert list(await again.select_all()) == ["ann", "bob"]


async def test_an_edit_between_reading_and_writing_is_not_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(NEKOS)
    members = FileProvider(path)
    write, edits = whole_file._write, 0

    def write_while_a_person_edits(beside: Path, content: bytes) -> None:
        nonlocal edits
        write(beside, content)
        if edits < 2:
            edits += 1
            document = json.loads(path.read_text())
            path.write_text(json.dumps(document | {f"edit{edits}": {"password": "x"}}))

    monkeypatch.setattr(whole_file, "_write", write_while_a_person_edits)
    await members.insert("bob", "b", GUEST)
    assert list(await members.select_all()) == ["ann", "edit1", "edit2", "bob"]


async def test_a_file_that_never_rests_is_an_error_and_no_endless_loop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = FileProvider(path)
    monkeypatch.setattr(member_file, "version_of", lambda _: (1,))
    with pytest.raises(MemberFileError, match="changes it all the time"):
        await members.insert("ann", "secret", GUEST)
    assert leftovers(path) == []


async def test_changes_at_the_same_time_are_all_made(path: Path) -> None:
    members = FileProvider(path, hashed=False)
    await asyncio.gather(*(members.insert(f"m{number}", "x", GUEST) for number in range(20)))
    assert set(await members.select_all()) == {f"m{number}" for number in range(20)}
    await asyncio.gather(*(members.update_profile("m0", {"plugins": {f"p{n}": n}}) for n in range(10)))
    assert len((await members.select("m0")).plugins or {}) == 10


async def test_a_reader_sees_whole_files_only(path: Path) -> None:
    members, done = FileProvider(path, hashed=False), False

    def keep_reading() -> int:
        count = 0
        while not done:
            json.loads(path.read_text())
            count += 1
        return count

    reading = asyncio.create_task(asyncio.to_thread(keep_reading))
    for number in range(30):
        await members.insert(f"m{number}", "x" * 1000, GUEST)
    done = True
    assert await reading > 0
