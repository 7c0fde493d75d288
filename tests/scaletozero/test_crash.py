"""`kill -9` at each point between the two writes, then a restart, in the same boot and in another."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import plugins.scaletozero.marker
from tests.scaletozero.conftest import Said
from tests.scaletozero.crashing_server import POINTS
from tests.scaletozero.server_parts import CommandPipe, Server
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[CommandPipe]:
    pipe = CommandPipe(tmp_path / "control")
    yield pipe
    pipe.close()


@pytest.fixture
def boot_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "boot_id"
    path.write_text("this boot\n")
    monkeypatch.setattr(plugins.scaletozero.marker, "BOOT_ID", path)
    return path


def crash_at(point: str, pipe: CommandPipe, run_dir: Path, boot_id: Path) -> None:
    program = [sys.executable, "-m", "tests.scaletozero.crashing_server"]
    died = subprocess.run(
        [*program, pipe.path, run_dir, boot_id, point], cwd=ROOT, timeout=60, capture_output=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


async def restart(pipe: CommandPipe, run_dir: Path) -> None:
    """Run once more, with nobody there, until nothing is left to do."""
    server = Server(run_dir)
    await server.start(pipe.path, cooldown=0)
    await until(lambda: server.metric("scaletozero_disabled") == 0, within=5, what="nothing is in force")
    await server.plugin.shutdown()


WRITTEN_BEFORE = {"before +": "", "after +": "+", "held": "+", "before -": "+", "after -": "+-"}
TAKEN_BACK = {"held": "-"}


@pytest.mark.parametrize("point", POINTS)
async def test_the_next_start_takes_back_what_was_surely_made_and_nothing_else(
    point: str, pipe: CommandPipe, tmp_path: Path, boot_id: Path, said: Said
) -> None:
    crash_at(point, pipe, tmp_path / "run", boot_id)
    assert pipe.commands == WRITTEN_BEFORE[point]
    await restart(pipe, tmp_path / "run")
    assert pipe.commands == WRITTEN_BEFORE[point] + TAKEN_BACK.get(point, "")
    assert len(said.of("taking back what an earlier run left")) == (point == "held")
    remedies = [line["remedy"] for line in said.of("left alone")]
    assert remedies == ([] if point == "held" else [f"if nothing else uses it: echo -n '=0' > {pipe.path}"])
    said.all.clear()
    await restart(pipe, tmp_path / "run")
    assert pipe.commands == WRITTEN_BEFORE[point] + TAKEN_BACK.get(point, "")
    assert [line for line in said.all if "reason" in line] == []


async def test_after_a_reboot_the_marker_means_nothing(
    pipe: CommandPipe, tmp_path: Path, boot_id: Path, said: Said
) -> None:
    crash_at("held", pipe, tmp_path / "run", boot_id)
    boot_id.write_text("another boot\n")
    await restart(pipe, tmp_path / "run")
    assert pipe.commands == "+"
    assert "from another boot" in said.of("nothing to take back")[0]["reason"]


async def test_somebody_who_comes_at_once_uses_what_the_crash_left(
    pipe: CommandPipe, tmp_path: Path, boot_id: Path
) -> None:
    crash_at("held", pipe, tmp_path / "run", boot_id)
    server = Server(tmp_path / "run")
    await server.start(pipe.path, cooldown=5)
    await server.join("bob")
    assert pipe.commands == "+"
    await server.plugin.shutdown()
    assert pipe.commands == "+-"
