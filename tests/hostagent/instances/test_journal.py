"""The journal loses nothing: not by kill -9, not on a full disk, not with a damaged page."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostagent.instances.journal import (
    SEQUENCE_BLOCK,
    Journal,
    JournalDamagedError,
    JournalError,
    JournalWriter,
    recover,
    write_copy,
)
from tests.hostagent.records import record

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_everything_of_a_record_comes_back(path: Path) -> None:
    full, bare = record(), record("bare", 8, intent=None, process=None, wakes=(), idle_since=None)
    journal = Journal(path)
    journal.save(full)
    journal.save(bare)
    journal.close()
    assert Journal(path).records() == [full, bare]
    assert path.stat().st_mode & 0o777 == 0o600


def test_stamps_are_written_together_and_only_for_those_there_are(path: Path) -> None:
    one, other = record("one", 1), record("two", 2)
    journal = Journal(path)
    journal.save(one)
    journal.save(other)
    journal.set_stamps({one.id: (None, 5.0), other.id: (6.0, None), record("gone").id: (1.0, 1.0)})
    expected = [
        replace(one, idle_since=None, last_inbound_activity_at=5.0),
        replace(other, idle_since=6.0, last_inbound_activity_at=None),
    ]
    assert journal.records() == expected


def test_epochs_and_event_numbers_never_repeat(path: Path) -> None:
    first, second = Journal(path), None
    assert (first.epoch, first.reserve_sequences()) == (1, 1)
    first.close()
    second = Journal(path)
    assert (second.epoch, second.reserve_sequences()) == (2, 1 + SEQUENCE_BLOCK)


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from hostagent.instances.journal import Journal
from tests.hostagent.records import record
journal = Journal(Path(sys.argv[1]))
base = record("busy", 1)
number = 0
while True:
    number += 1
    journal.save(replace(base, generation=number))
    print(number, base.id, flush=True)
"""


def test_what_was_written_survives_kill_9_at_any_moment(path: Path) -> None:
    for lines in (1, 2, 5, 17):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(lines):
            generation, identity = writer.stdout.readline().split()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        journal = Journal(path)
        found = {one.id: one.generation for one in journal.records()}
        assert found[identity] >= int(generation)  # type: ignore[index]
        journal.close()


def _damage(path: Path, page: int) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(os.urandom(PAGE))
    return path.read_bytes()


def _filled(path: Path, count: int) -> list[str]:
    journal = Journal(path)
    names = []
    for number in range(1, count + 1):
        one = record(f"web-{number}", number)
        journal.save(one)
        directory = path.parent / "instances" / one.id
        directory.mkdir(parents=True)
        write_copy(directory, replace(one, generation=0))
        names.append(one.spec.name)
    journal.close()
    return names


@pytest.mark.parametrize("page", [1, 3, 5, 7])
def test_a_damaged_page_is_said_and_the_file_is_left_alone(path: Path, page: int) -> None:
    _filled(path, 30)
    before = _damage(path, page)
    with pytest.raises(JournalDamagedError, match=r"(?s)journal.db is damaged.*--recover"):
        Journal(path).records()
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.damaged-*"))


@pytest.mark.parametrize("page", [1, 3, 5, 7])
def test_recovering_keeps_the_damaged_file_and_loses_no_instance(path: Path, page: int) -> None:
    names = _filled(path, 30)
    before = _damage(path, page)
    aside, count = recover(path, path.parent / "instances")
    assert aside.read_bytes() == before
    assert count == 30
    journal = Journal(path)
    records = journal.records()
    assert sorted(one.spec.name for one in records) == sorted(names)
    assert any(one.generation == 4 for one in records) or page == 1, "no row of the journal was saved"
    assert journal.reserve_sequences() > SEQUENCE_BLOCK
    journal.close()
    again, _ = recover(path, path.parent / "instances")
    assert again != aside
    assert aside.read_bytes() == before


def test_what_is_no_journal_is_left_alone(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 1000)
    with pytest.raises(JournalDamagedError):
        Journal(path)
    assert path.read_bytes() == b"something else entirely" * 1000


def test_a_journal_of_a_newer_agent_is_refused(path: Path) -> None:
    Journal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="version 99"):
        Journal(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(journal: Journal) -> None:
    for number in range(2, 200):
        journal.save(record(f"web-{number}", number))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said_and_nothing_is_lost(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal.db")
    kept = record("kept", 1)
    journal.save(kept)
    ballast = os.open(small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(ballast, b"x" * PAGE)
    os.close(ballast)
    with pytest.raises(JournalError, match="disk is full"):
        _fill(journal)
    saved = journal.records()
    assert saved[0] == kept
    with pytest.raises(JournalError, match="disk is full"):
        journal.set_stamps({one.id: (1.0, 1.0) for one in saved})
    assert {one.id for one in journal.records()} == {one.id for one in saved}
    (small_disk / "ballast").unlink()
    journal.save(replace(kept, generation=9))
    journal.close()
    again = Journal(small_disk / "journal.db")
    assert {one.id for one in again.records()} == {one.id for one in saved}
    again.close()


async def test_writes_come_in_the_order_of_the_calls_also_when_a_caller_is_cancelled(path: Path) -> None:
    writer = JournalWriter(Journal(path))
    base = record()
    calls = [asyncio.ensure_future(writer.save(replace(base, generation=n))) for n in range(20)]
    await asyncio.sleep(0)
    for call in calls[:-1]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert [one.generation for one in await writer.records()] == [19]
    writer.close()
