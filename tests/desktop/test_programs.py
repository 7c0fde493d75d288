"""Programs beside the browser: who they run as, how many, and their end."""

import asyncio
from pathlib import Path

import pytest

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import session_members
from streamserver.desktop.programs import MOST, Programs
from tests.waiting import until

# it leaves a child behind, which is its part of what it started
SCRIPT = 'printf "%s\\n" "$USER" "$DISPLAY" "$HOME" "$1" > "$2"; sleep 1000 & echo $$ >> "$2"'


def _complete(path: Path) -> bool:
    return path.exists() and path.read_text().count("\n") == 5


async def test_they_run_as_the_user_are_bounded_and_end_with_the_desktop(
    account: Account, own_dir: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    programs = Programs(account, run_dir)
    written = [own_dir / f"program-{number}" for number in range(MOST)]
    link = "http://example.org/$(id) 'x'"
    try:
        for path in written:
            await programs.run(["sh", "-c", SCRIPT, "program", link, str(path)], {"DISPLAY": ":77"})
        with pytest.raises(DesktopError, match=f"{MOST} programs run"):
            await programs.run(["true"], {})
        await until(lambda: all(map(_complete, written)), within=10, what="all of them have started")
        sessions = [int(path.read_text().split("\n")[4]) for path in written]
        assert written[0].read_text().split("\n")[:4] == [account.name, ":77", str(account.home), link]
        assert written[0].owner() == account.name
        assert all(session_members(session) for session in sessions)
    finally:
        await programs.stop()
    await until(lambda: not any(map(session_members, sessions)), within=10, what="all of them have ended")


async def test_what_ended_does_not_count_and_what_is_missing_is_named(
    account: Account, run_dir: Path
) -> None:
    programs = Programs(account, run_dir)
    try:
        with pytest.raises(DesktopError, match="no program 'no-such-player'"):
            await programs.run(["no-such-player", "http://example.org"], {})
        for _ in range(MOST):
            await programs.run(["true"], {})

        await asyncio.gather(*(child.wait() for child in programs.running))
        await programs.run(["true"], {})
    finally:
        await programs.stop()
