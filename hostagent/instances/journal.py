"""What must survive the agent: a row for each instance, in SQLite with a write-ahead log and full syncing.

The journal says what was intended and what was last finished; what is true now is asked of the machine. A
journal that cannot be trusted is never written to and never replaced: the agent says so and does not start.
Then `catnap host agent --recover` sets it aside under another name and rebuilds one from its readable rows
and from the `instance.json` in each instance's directory.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from hostagent.errors import HostError
from hostagent.instances.model import Addresses, InstanceId, InstanceRecord, InstanceSpec, Level, ProcessStamp

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
SEQUENCE_BLOCK: Final = 100_000
"""Event numbers are reserved in blocks of this size, so that they never repeat after a crash."""
WAKES_KEPT: Final = 64

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, spec TEXT NOT NULL, addresses TEXT NOT NULL, created_at REAL NOT NULL,
    generation INTEGER NOT NULL, wanted TEXT NOT NULL, level TEXT NOT NULL, intent TEXT, process TEXT,
    started_at REAL, stopped_at REAL, idle_since REAL, last_inbound_activity_at REAL, exit_status INTEGER,
    wakes TEXT NOT NULL
);
"""
_COLUMNS = (
    "id, spec, addresses, created_at, generation, wanted, level, intent, process, started_at, stopped_at, "
    "idle_since, last_inbound_activity_at, exit_status, wakes"
)
_SPEC = TypeAdapter(InstanceSpec)
_ADDRESSES = TypeAdapter(Addresses)
_PROCESS = TypeAdapter(ProcessStamp | None)
_WAKES = TypeAdapter(tuple[tuple[Level, float], ...])
_RECORD = TypeAdapter(InstanceRecord)


class JournalError(HostError):
    """The journal cannot be read or written; nothing in it was changed."""


class JournalDamagedError(JournalError):
    """The journal's file is damaged; it is kept as it is."""


class Journal:
    """The file, used from one thread. Every method returns after the disk has it; raises JournalError."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal, check it, and begin a new epoch."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = self._open()
            self.epoch = self._add_to_meta("epoch", 1)
            """How many times an agent has started with this journal."""
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise self._explain(error, "opened") from error
        except JournalError:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        findings = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
        if findings != ["ok"]:
            raise self._damaged("; ".join(findings))
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"the journal {self._path} is of version {version}, this agent knows {SCHEMA_VERSION}: "
                "use the newer agent that wrote it"
            )
        os.chmod(self._path, 0o600)  # noqa: PTH101
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        return connection

    def close(self) -> None:
        """Close the file; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def records(self) -> list[InstanceRecord]:
        """Return every instance, the oldest first."""
        rows = self._run("read", f"SELECT {_COLUMNS} FROM instances ORDER BY created_at, id")  # noqa: S608
        try:
            return [_record(row) for row in rows]
        except ValidationError as error:
            raise self._damaged(f"a row makes no sense: {error}") from error

    def save(self, record: InstanceRecord) -> None:
        """Write one instance, new or changed."""
        marks = ", ".join("?" * len(_row(record)))
        self._run(
            "written",
            f"INSERT OR REPLACE INTO instances ({_COLUMNS}) VALUES ({marks})",  # noqa: S608
            *_row(record),
        )

    def delete(self, instance: InstanceId) -> None:
        """Forget one instance; fine when there is none."""
        self._run("written", "DELETE FROM instances WHERE id = ?", instance)

    def set_stamps(self, stamps: Mapping[InstanceId, tuple[float | None, float | None]]) -> None:
        """Write `idle_since` and `last_inbound_activity_at`: all or none; unknown ids are skipped."""
        rows = [(idle, inbound, instance) for instance, (idle, inbound) in stamps.items()]
        self._run("written", "BEGIN IMMEDIATE")
        try:
            for row in rows:
                self._run(
                    "written",
                    "UPDATE instances SET idle_since = ?, last_inbound_activity_at = ? WHERE id = ?",
                    *row,
                )
            self._run("written", "COMMIT")
        except JournalError:
            with contextlib.suppress(JournalError):
                self._run("written", "ROLLBACK")
            raise

    def reserve_sequences(self) -> int:
        """Reserve a block of event numbers; return the first."""
        try:
            return self._add_to_meta("sequence", SEQUENCE_BLOCK) - SEQUENCE_BLOCK + 1
        except sqlite3.Error as error:
            raise self._explain(error, "written") from error

    def _add_to_meta(self, key: str, by: int) -> int:
        rows = self._run(
            "written",
            "INSERT INTO meta VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = value + ? RETURNING value",
            key,
            by,
            by,
        )
        return cast("int", rows[0][0])

    def _run(self, what: str, statement: str, *values: object) -> list[tuple[object, ...]]:
        if self._connection is None:
            raise JournalError(f"the journal {self._path} is closed")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error, what) from error

    def _explain(self, error: Exception, what: str) -> JournalError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_CORRUPT") or name == "SQLITE_NOTADB":
            return self._damaged(str(error))
        if name == "SQLITE_FULL" or (isinstance(error, OSError) and error.errno == 28):
            return JournalError(
                f"the journal {self._path} cannot be {what}: the disk is full. "
                "Nothing in it was changed; make room"
            )
        if name == "SQLITE_BUSY":
            return JournalError(f"the journal {self._path} cannot be {what}: another process holds it")
        return JournalError(
            f"the journal {self._path} cannot be {what}: {error}. Nothing in it was changed; "
            "is the disk full, or mounted read-only?"
        )

    def _damaged(self, finding: str) -> JournalDamagedError:
        return JournalDamagedError(
            f"the journal {self._path} is damaged ({finding}). It is left as it is, and instances go on. "
            "`catnap host agent --recover` sets it aside and rebuilds it from what can be read and from "
            "the directories of the instances"
        )


class JournalWriter:
    """The journal on a thread of its own, in the order of the calls: the loop never waits for the disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @property
    def epoch(self) -> int:
        """The number of this run of the agent."""
        return self._journal.epoch

    async def records(self) -> list[InstanceRecord]:
        """Return every instance; raises JournalError."""
        return await self._do(self._journal.records)

    async def save(self, record: InstanceRecord) -> None:
        """Write one instance; raises JournalError."""
        await self._do(lambda: self._journal.save(record))

    async def set_stamps(self, stamps: Mapping[InstanceId, tuple[float | None, float | None]]) -> None:
        """Write idle stamps in one transaction; raises JournalError."""
        await self._do(lambda: self._journal.set_stamps(stamps))

    async def delete(self, instance: InstanceId) -> None:
        """Forget one instance; raises JournalError."""
        await self._do(lambda: self._journal.delete(instance))

    async def reserve_sequences(self) -> int:
        """Reserve a block of event numbers; return the first; raises JournalError."""
        return await self._do(self._journal.reserve_sequences)

    async def _do(self, work: Callable[[], T]) -> T:
        # shielded: a caller that is cancelled must not leave a later write before this one
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def close(self) -> None:
        """Finish what was begun and close the file."""
        self._thread.shutdown(wait=True)
        self._journal.close()


def write_copy(directory: Path, record: InstanceRecord) -> None:
    """Write `instance.json`, what `--recover` needs if the journal is damaged; whole or not at all."""
    target, fresh = directory / "instance.json", directory / "instance.json.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_RECORD.dump_json(record, indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)


def recover(path: Path, instances_dir: Path) -> tuple[Path, int]:
    """Set the journal aside and rebuild it from its readable rows and the copies.

    A row is newer than a copy, so it wins. The number of the last event is not known any more: numbers go on
    far above it.

    Returns:
        Where the damaged one is kept, and how many instances the new one has.
    """
    aside = _free_name(path)
    found: dict[InstanceId, InstanceRecord] = {}
    for copy in sorted(instances_dir.glob("*/instance.json")):
        try:
            record = _RECORD.validate_json(copy.read_bytes())
        except (OSError, ValidationError):
            continue
        found[record.id] = record
    for record in _readable_rows(path):
        found[record.id] = record
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    journal = Journal(path)
    try:
        for record in found.values():
            journal.save(replace(record, generation=record.generation + 1))
        journal._add_to_meta("sequence", 1000 * SEQUENCE_BLOCK)
    finally:
        journal.close()
    return aside, len(found)


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside


def _readable_rows(path: Path) -> list[InstanceRecord]:
    """Return the rows that can be read, one query each, since one that cannot be would end a common one."""
    rows: list[InstanceRecord] = []
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error:
        return rows
    try:
        last = connection.execute("SELECT max(rowid) FROM instances").fetchone()[0] or 0
    except sqlite3.Error:
        last = 4096
    for rowid in range(1, last + 1):
        try:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM instances NOT INDEXED WHERE rowid = ?",  # noqa: S608
                (rowid,),
            ).fetchone()
            if row is not None:
                rows.append(_record(row))
        except (sqlite3.Error, ValidationError):
            continue
    connection.close()
    return rows


def _row(record: InstanceRecord) -> tuple[object, ...]:
    return (
        record.id,
        _SPEC.dump_json(record.spec).decode(),
        _ADDRESSES.dump_json(record.addresses).decode(),
        record.created_at,
        record.generation,
        record.wanted,
        record.level.value,
        record.intent,
        None if record.process is None else _PROCESS.dump_json(record.process).decode(),
        record.started_at,
        record.stopped_at,
        record.idle_since,
        record.last_inbound_activity_at,
        record.exit_status,
        json.dumps([[level.value, seconds] for level, seconds in record.wakes[-WAKES_KEPT:]]),
    )


def _record(row: tuple[object, ...]) -> InstanceRecord:
    names = [name.strip() for name in _COLUMNS.split(",")]
    fields = dict(zip(names, row, strict=True))
    for name, adapter in (("spec", _SPEC), ("addresses", _ADDRESSES), ("wakes", _WAKES)):
        fields[name] = adapter.validate_json(cast("str", fields[name]))
    if fields["process"] is not None:
        fields["process"] = _PROCESS.validate_json(cast("str", fields["process"]))
    return _RECORD.validate_python(fields)
