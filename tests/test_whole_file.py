"""Replacing a file as a whole."""

import os
import stat
from pathlib import Path

import pytest

from streamserver.whole_file import replace_whole


def test_the_new_file_is_there_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    assert replace_whole(path, b"one")
    path.chmod(0o644)
    assert replace_whole(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"one")
    beside: list[str] = []

    def unchanged() -> bool:
        beside.extend(other.read_text() for other in tmp_path.iterdir() if other != path)
        return False

    assert not replace_whole(path, b"two", unchanged=unchanged)
    assert beside == ["two"], "all is written before it is asked"
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
