"""The crash marker: what is on disk around the writes, and what the next start makes of it."""

import json
from pathlib import Path

import pytest

from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.marker import (
    FileMarker,
    Legacy,
    MarkerInUseError,
    Phase,
    decide_recovery,
    read_boot_id,
)

CONTROL = Path("/uk/control")
BOOT = "boot-1"


@pytest.fixture
def marker(tmp_path: Path) -> FileMarker:
    return FileMarker(tmp_path / "run", CONTROL, BOOT)


def phase(marker: FileMarker) -> str | None:
    try:
        return str(json.loads(marker.path.read_text())["phase"])
    except FileNotFoundError:
        return None


def text(**changes: object) -> str:
    return json.dumps({"boot_id": BOOT, "phase": "held", "control_file": str(CONTROL)} | changes)


@pytest.mark.parametrize(
    ("found", "legacy"),
    [
        (None, Legacy.NOTHING),
        (text(), Legacy.OURS),
        (text(phase="intent"), Legacy.UNKNOWN),
        (text(phase="releasing"), Legacy.UNKNOWN),
        (text(phase="released"), Legacy.NOTHING),
        (text(phase="released", control_file="/another"), Legacy.NOTHING),
        (text(phase="dancing"), Legacy.UNKNOWN),
        (text(boot_id="boot-0"), Legacy.NOTHING),
        (text(boot_id="boot-0", phase="intent"), Legacy.NOTHING),
        (text(control_file="/another"), Legacy.UNKNOWN),
        ("", Legacy.UNKNOWN),
        ("{", Legacy.UNKNOWN),
        ("[]", Legacy.UNKNOWN),
        ("null", Legacy.UNKNOWN),
        ("{}", Legacy.UNKNOWN),
    ],
)
def test_only_a_surely_made_contribution_is_taken_back(found: str | None, legacy: Legacy) -> None:
    assert decide_recovery(found, BOOT, CONTROL).legacy is legacy


def test_without_a_boot_id_no_marker_is_trusted() -> None:
    assert decide_recovery(text(boot_id=""), "", CONTROL).legacy is Legacy.NOTHING


def test_the_kernel_names_this_boot() -> None:
    assert len(read_boot_id()) == 36


def test_the_phases_stand_around_the_writes(marker: FileMarker) -> None:
    marker.claim()
    marker.before(Command.RAISE)
    assert phase(marker) == Phase.INTENT
    marker.after(Command.RAISE, WriteResult.WRITTEN)
    assert phase(marker) == Phase.HELD
    marker.before(Command.LOWER)
    assert phase(marker) == Phase.RELEASING
    marker.after(Command.LOWER, WriteResult.WRITTEN)
    assert phase(marker) == Phase.RELEASED
    marker.release()
    assert phase(marker) is None


@pytest.mark.parametrize(
    ("command", "result", "left"),
    [
        (Command.RAISE, WriteResult.FAILED, Phase.RELEASED),
        (Command.RAISE, WriteResult.ABSENT, Phase.RELEASED),
        (Command.LOWER, WriteResult.REFUSED, Phase.RELEASED),
        (Command.LOWER, WriteResult.FAILED, Phase.HELD),
        (Command.LOWER, WriteResult.ABSENT, Phase.HELD),
    ],
)
def test_what_a_write_that_did_not_happen_leaves(
    marker: FileMarker, command: Command, result: WriteResult, left: Phase
) -> None:
    marker.claim()
    marker.before(command)
    marker.after(command, result)
    assert phase(marker) == left


def test_what_cannot_be_taken_back_is_forgotten_after_one_warning(marker: FileMarker) -> None:
    marker.claim()
    marker.before(Command.RAISE)
    assert marker.recover().legacy is Legacy.UNKNOWN
    assert marker.recover().legacy is Legacy.NOTHING


def test_what_is_ours_stays_until_it_is_taken_back(marker: FileMarker) -> None:
    marker.claim()
    marker.after(Command.RAISE, WriteResult.WRITTEN)
    assert marker.recover().legacy is Legacy.OURS
    assert marker.recover().legacy is Legacy.OURS


def test_a_marker_that_is_a_directory_is_not_trusted(marker: FileMarker) -> None:
    marker.claim()
    marker.path.mkdir()
    assert marker.recover().legacy is Legacy.UNKNOWN


def test_two_running_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    first, second = (FileMarker(tmp_path, CONTROL, BOOT) for _ in range(2))
    first.claim()
    with pytest.raises(MarkerInUseError, match=r"server\.run_dir"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_a_directory_that_went_away_keeps_nothing_from_working(marker: FileMarker) -> None:
    marker.claim()
    for path in marker.path.parent.iterdir():
        path.unlink()
    marker.path.parent.rmdir()
    marker.before(Command.RAISE)
    marker.after(Command.RAISE, WriteResult.WRITTEN)
    assert phase(marker) is None


def test_a_marker_that_somebody_removed_is_made_again(marker: FileMarker) -> None:
    marker.claim()
    marker.before(Command.RAISE)
    marker.after(Command.RAISE, WriteResult.WRITTEN)
    marker.path.unlink()
    marker.before(Command.LOWER)
    assert phase(marker) == Phase.RELEASING


def test_the_record_of_a_longer_one_leaves_nothing_behind(marker: FileMarker) -> None:
    marker.claim()
    marker.path.write_text(text(control_file=str(CONTROL), remark="x" * 500))
    assert marker.recover().legacy is Legacy.OURS
    marker.before(Command.LOWER)
    assert phase(marker) == Phase.RELEASING


def test_what_is_in_the_counter_stays_written_when_the_directory_is_left(marker: FileMarker) -> None:
    marker.claim()
    marker.before(Command.RAISE)
    marker.after(Command.RAISE, WriteResult.WRITTEN)
    marker.before(Command.LOWER)
    marker.release()
    assert phase(marker) == Phase.RELEASING
