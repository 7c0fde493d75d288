"""Children run as their user, end when told, and never outlive us."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streamserver.desktop import process as process_module
from streamserver.desktop.account import Account, lookup
from streamserver.desktop.backoff import Backoff
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess, base_environment, session_members
from streamserver.desktop.supervisor import Supervisor, describe_exit
from tests.waiting import until, wait_until

ROOT = Path(__file__).parents[2]


async def start(account: Account, directory: Path, script: str) -> ChildProcess:
    return await ChildProcess.start(
        "test", ["sh", "-c", script], account=account,
        environment=base_environment(account, directory), directory=directory,
    )  # fmt: skip


async def test_a_child_is_its_user_in_a_session_and_environment_of_its_own(
    account: Account, own_dir: Path
) -> None:
    child = await start(account, own_dir, "id -u > id; id -G >> id; umask >> id; env > env; sleep 60")
    try:
        await until(lambda: (own_dir / "env").exists(), within=5, what="the child wrote its files")
        await until(lambda: "PATH" in (own_dir / "env").read_text(), within=5, what="env is written")
        user, groups, mask = (own_dir / "id").read_text().split("\n")[:3]
        assert int(user) == account.uid
        assert {int(group) for group in groups.split()} == {account.gid, *account.groups}
        assert int(mask, 8) == 0o077
        variables = dict(line.split("=", 1) for line in (own_dir / "env").read_text().splitlines())
        assert variables["HOME"] == str(account.home)
        assert variables["XDG_RUNTIME_DIR"] == str(own_dir)
        assert not {name for name in variables if name.startswith(("PYTEST", "NEKO", "SSH"))}
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    finally:
        await child.stop()
    assert child.returncode == -signal.SIGTERM


async def test_stop_ends_what_ignores_it_and_what_left_the_process_group(
    account: Account, own_dir: Path
) -> None:
    leaver = "import os, time; os.setpgid(0, 0); time.sleep(62)"
    child = await start(
        account, own_dir, f"trap '' TERM; /usr/bin/python3 -c '{leaver}' & sleep 63; sleep 64"
    )
    try:
        await until(
            lambda: [pid for pid in session_members(child.pid) if os.getpgid(pid) != child.pid],
            within=5, what="one has left the process group",
        )  # fmt: skip
        members = session_members(child.pid)
        assert len(members) == 3
    finally:
        await child.stop(grace=0.1)
    assert child.returncode == -signal.SIGKILL
    for pid in members:
        await until(lambda pid=pid: not alive(pid), within=5, what=f"{pid} is gone")  # type: ignore[misc]


async def test_a_missing_program_is_named(account: Account, own_dir: Path) -> None:
    with pytest.raises(DesktopError, match="no-such-program"):
        await ChildProcess.start(
            "test", ["no-such-program"], account=account, environment={}, directory=own_dir
        )


async def test_output_without_end_or_line_breaks_is_bounded(
    account: Account, own_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, object]] = []

    class Log:
        def debug(self, event: str, **fields: object) -> None:
            lines.append({"event": event, **fields})

    monkeypatch.setattr(process_module, "log", Log())
    child = await start(account, own_dir, "yes | head -c 3000000; head -c 3000000 /dev/zero | tr '\\0' x")
    assert await asyncio.wait_for(child.wait(), 20) == 0
    await child.stop()
    output = [str(line["line"]) for line in lines if line["event"] == "output"]
    assert 0 < len(output) < 500
    assert max(map(len, output)) <= process_module.MAX_LINE


def test_children_die_with_a_server_that_is_killed(account: Account, own_dir: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from streamserver.desktop.account import lookup
from streamserver.desktop.process import ChildProcess, base_environment
async def main():
    account = lookup({account.name!r}); here = Path({str(own_dir)!r})
    child = await ChildProcess.start("test", ["sleep", "600"], account=account,
        environment=base_environment(account, here), directory=here)
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    line = next(line for line in server.stdout if line.strip().isdigit())
    child = int(line)
    wait_until(lambda: psutil.Process(child).name() == "sleep", within=5, what="the child runs")
    server.kill()
    server.wait()
    wait_until(lambda: not alive(child), within=5, what="the child is gone")


async def test_a_supervisor_starts_again_with_growing_pauses_and_stops_for_good(
    account: Account, own_dir: Path
) -> None:
    ends: list[tuple[int | None, float]] = []
    starts: list[int] = []

    async def begin() -> ChildProcess:
        return await start(account, own_dir, "exit 3")

    supervisor = Supervisor(
        "test", begin, backoff=Backoff(first=0.01, longest=0.03),
        on_start=lambda child: starts.append(child.pid),
        on_end=lambda code, delay: ends.append((code, delay)),
    )  # fmt: skip
    await supervisor.start()
    await until(lambda: len(ends) >= 4, within=10, what="it was started four times")
    await supervisor.stop()
    count = len(starts)
    assert [code for code, _ in ends[:4]] == [3] * 4
    assert [delay for _, delay in ends[:4]] == [0.01, 0.02, 0.03, 0.03]
    assert supervisor.child is None
    assert len(starts) == count
    assert describe_exit(-9) == {"signal": "SIGKILL"}


def test_another_user_that_does_not_exist_is_named() -> None:
    with pytest.raises(DesktopError, match="nobody-of-that-name"):
        lookup("nobody-of-that-name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act on files as somebody else")
def test_files_are_touched_with_the_rights_of_the_user(
    account: Account, own_dir: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with account.file_access():
        (own_dir / "mine").write_text("x")
        with pytest.raises(PermissionError):
            (tmp_path / "not-mine").write_text("x")
    assert (own_dir / "mine").stat().st_uid == account.uid
    (tmp_path / "not-mine").write_text("x")


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected by its parent does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
