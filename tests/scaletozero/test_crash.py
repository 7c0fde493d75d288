"""`kill -9` at each point between the two writes, then a restart, in the same boot and in another.

The control file counts like the platform's; somebody else holds it too, whose hold must never be taken.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import plugins.scaletozero.marker
from tests.scaletozero.conftest import Said
from tests.scaletozero.crashing_server import NO_POINT, POINTS, crash, start
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.scaletozero.server_parts import Server
from tests.waiting import until, wait_until

OTHERS = 3
"""What is in the counter that is not ours."""

LEFT = {
    "before +": "",
    "after +": "+",
    "held": "+",
    "cooldown": "+",
    "before -": "+",
    "after -": "+-",
    "released": "+-",
}
"""What each crash leaves behind in the file."""
OURS = ("held", "cooldown")
"""Where it is sure that one `+` of ours is in the counter."""
CLEAN = ("released",)
"""Where it is sure that none is."""


@pytest.fixture(scope="module")
def mounted() -> Iterator[FuseControlFile]:
    with FuseControlFile() as file:
        yield file


@pytest.fixture
def file(mounted: FuseControlFile) -> FuseControlFile:
    mounted.reset(OTHERS)
    return mounted


@pytest.fixture
def boot_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "boot_id"
    path.write_text("this boot\n")
    monkeypatch.setattr(plugins.scaletozero.marker, "BOOT_ID", path)
    return path


async def restart(file: FuseControlFile, run_dir: Path) -> None:
    """Run once more, with nobody there, until nothing is left to do."""
    server = Server(run_dir)
    await server.start(file.path, cooldown=0)
    await until(lambda: server.metric("scaletozero_disabled") == 0, within=5, what="nothing is in force")
    await server.plugin.shutdown()


async def visit(file: FuseControlFile, run_dir: Path) -> None:
    """Run once more, and let somebody come; the drain ends it."""
    server = Server(run_dir)
    await server.start(file.path, cooldown=60)
    await server.join("bob")
    await server.plugin.shutdown()


@pytest.mark.parametrize("point", POINTS)
async def test_the_next_start_takes_back_what_was_surely_made_and_nothing_else(
    point: str, file: FuseControlFile, tmp_path: Path, boot_id: Path, said: Said
) -> None:
    crash(file.path, tmp_path / "run", boot_id, point)
    assert file.taken == LEFT[point]
    await restart(file, tmp_path / "run")
    left = LEFT[point] + ("-" if point in OURS else "")
    assert file.taken == left
    assert file.value == OTHERS + left.count("+") - left.count("-") >= OTHERS
    assert len(said.of("taking back what an earlier run left")) == (point in OURS)
    remedies = [line["remedy"] for line in said.of("left alone")]
    unsure = point not in OURS + CLEAN
    assert remedies == ([f"if nothing else uses it: echo -n '=0' > {file.path}"] if unsure else [])
    said.all.clear()
    found = file.value
    await visit(file, tmp_path / "run")
    assert file.taken == f"{left}+-"
    assert file.value == found
    assert [line for line in said.all if "reason" in line] == [], "it is said once"


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_reboot_the_marker_means_nothing(
    point: str, file: FuseControlFile, tmp_path: Path, boot_id: Path, said: Said
) -> None:
    crash(file.path, tmp_path / "run", boot_id, point)
    boot_id.write_text("another boot\n")
    file.reset()
    await restart(file, tmp_path / "run")
    assert (file.attempts, file.value) == ("", 0)
    assert "from another boot" in said.of("nothing to take back")[0]["reason"]
    await visit(file, tmp_path / "run")
    assert (file.attempts, file.value) == ("+-", 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("command", "held_first"), [("+", False), ("-", True)])
async def test_killed_inside_the_write_the_counter_is_left_alone(
    when: str,
    command: str,
    held_first: bool,
    file: FuseControlFile,
    tmp_path: Path,
    boot_id: Path,
    said: Said,
) -> None:
    """The kernel ends a write() that has begun, also for a process that is gone."""
    expected = "+-" if held_first else "+"
    if held_first:
        crash(file.path, tmp_path / "run", boot_id, "held")
    file.block(when="before" if when == "before" else "after")
    server = start(file.path, tmp_path / "run", boot_id, NO_POINT)
    wait_until(lambda: file.blocked and file.attempts == expected, within=20, what="it is stuck in write()")
    server.kill()
    file.unblock()
    server.join(20)
    assert server.exitcode == -signal.SIGKILL
    wait_until(lambda: file.taken == expected, within=5, what="the write has ended")
    await restart(file, tmp_path / "run")
    assert file.taken == expected
    assert file.value == OTHERS + (command == "+") >= OTHERS
    assert f"died while it wrote '{command}'" in said.of("left alone")[0]["reason"]


async def test_somebody_who_comes_at_once_uses_what_the_crash_left(
    file: FuseControlFile, tmp_path: Path, boot_id: Path
) -> None:
    crash(file.path, tmp_path / "run", boot_id, "held")
    server = Server(tmp_path / "run")
    await server.start(file.path, cooldown=5)
    await server.join("bob")
    assert file.attempts == "+"
    await server.plugin.shutdown()
    assert (file.attempts, file.value) == ("+-", OTHERS)


async def test_crash_after_crash_adds_up_to_nothing(
    file: FuseControlFile, tmp_path: Path, boot_id: Path
) -> None:
    for _ in range(4):
        crash(file.path, tmp_path / "run", boot_id, "cooldown")
        assert file.value == OTHERS + 1
    await restart(file, tmp_path / "run")
    assert (file.attempts, file.value) == ("+-", OTHERS)
