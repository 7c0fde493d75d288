"""The session file: neko's format, whole or not at all, and damaged ones kept aside."""

import contextlib
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.members.profile import MemberProfile
from streamserver.sessions.errors import SessionFileError
from streamserver.sessions.store import StoredSession, dump, load, parse, save
from tests.sessions.doubles import admin, make_manager, user
from tests.waiting import until

texts = st.text(max_size=20)
stored = st.builds(
    StoredSession,
    id=texts,
    token=st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=64, max_size=64),
    profile=st.builds(
        MemberProfile,
        name=texts,
        is_admin=st.booleans(),
        can_host=st.booleans(),
        plugins=st.none() | st.dictionaries(texts, st.booleans() | texts | st.none()),
    ),
)


@given(st.lists(stored, max_size=5, unique_by=(lambda s: s.id, lambda s: s.token)))
def test_what_is_dumped_is_parsed(sessions: list[StoredSession]) -> None:
    assert parse(dump(sessions)) == sessions


@given(st.binary(max_size=200))
def test_parsing_anything_gives_sessions_or_a_value_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(content), list)


def test_the_format_is_nekos() -> None:
    (record,) = json.loads(dump([StoredSession("ann", "t" * 64, user())]))
    assert record.keys() == {"Id", "Token", "Profile"}
    assert record["Profile"]["can_host"] is True
    assert parse(
        b'[{"Id":"x","Token":"%s","Profile":{"name":"x","is_admin":true,"plugins":null}}]' % (b"t" * 64)
    )


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b'[{"Id":"x"}]',
        b'[{"Id":"x","Token":"short","Profile":{}}]',
        dump([StoredSession("a", "t" * 64, user())] * 2),
        dump([StoredSession("a", "t" * 64, user())])[:-5],
    ],
)
def test_a_damaged_file_is_kept_aside_and_never_overwritten(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    path.write_bytes(content)
    assert load(path) == []
    assert not path.exists()
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("sessions.json.damaged-")
    assert aside.read_bytes() == content
    save(path, b"[]\n")
    assert aside.read_bytes() == content


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SessionFileError, match=str(tmp_path)):
        load(tmp_path)
    with pytest.raises(SessionFileError, match="nowhere"):
        save(tmp_path / "nowhere" / "sessions.json", b"")


def test_saving_replaces_the_file_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    path.write_text("old")
    path.chmod(0o644)
    save(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sessions.json"
    save(path, b"old")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)  # a full disk cannot be had without root's help
    with pytest.raises(SessionFileError, match="No space left"):
        save(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


async def test_sessions_outlive_the_manager(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    first = make_manager(file=path)
    await first.start()
    _, token = first.create("ann", user())
    root, root_token = first.create("root", admin())
    gone, gone_token = first.create("gone", user())
    first.update_profile(root, admin(name="Root"))
    first.delete(gone.id)
    await first.stop()

    second = make_manager(file=path)
    await second.start()
    assert [session.id for session in second.list()] == ["ann", "root"]
    ann = second.by_token(token)
    assert ann is not None
    assert ann.profile == user()
    assert not ann.is_connected
    restored = second.by_token(root_token)
    assert restored is not None
    assert restored.profile.name == "Root"
    assert second.by_token(gone_token) is None
    await second.stop()


async def test_a_change_is_on_disk_soon_and_a_failure_does_not_stop_the_next(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "sessions.json"
    path.parent.mkdir()
    manager = make_manager(file=path)
    await manager.start()
    path.unlink()
    path.parent.rmdir()
    manager.create("ann", user())
    path.parent.mkdir()
    manager.create("bob", user())
    await until(
        lambda: path.exists() and [s.id for s in parse(path.read_bytes())] == ["ann", "bob"],
        within=5,
        what="both are kept",
    )
    await manager.stop()


async def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    manager = make_manager(file=tmp_path / "nowhere" / "sessions.json")
    with pytest.raises(OSError, match=r"session\.file .*nowhere"):
        await manager.start()
