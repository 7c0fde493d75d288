"""Whether the sandbox can work is told from what the kernel really lets us do."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamserver.desktop import sandbox
from streamserver.desktop.account import lookup
from streamserver.desktop.browser import has_enough_shared_memory

ALL = "000001ffffffffff"
DOCKERS = "00000000a80425fb"
"""What Docker lets processes of a container gain."""


@pytest.mark.parametrize(
    ("bounded_by", "no_new_privileges", "can"),
    [(ALL, 0, True), (ALL, 1, False), (DOCKERS, 0, False), (DOCKERS, 1, False)],
)
def test_the_setuid_helper_needs_a_power_it_can_gain(
    bounded_by: str, no_new_privileges: int, can: bool
) -> None:
    status = f"Name:\tpython\nCapBnd:\t{bounded_by}\nNoNewPrivs:\t{no_new_privileges}\n"
    assert sandbox.setuid_helper_can_work(status) is can


def test_a_machine_that_runs_the_browser_in_its_sandbox_is_not_refused() -> None:
    assert sandbox.why_not(lookup("catnap")) is None


FORBIDDEN = """
from streamserver.desktop import sandbox
from streamserver.desktop.account import lookup
print(sandbox.why_not(lookup(None)))
"""


def test_where_namespaces_are_forbidden_the_way_out_is_named() -> None:
    """setpriv takes what Docker takes away; a user namespace that allows no further one forbids the rest."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
            'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --no-new-privs "$0" -c "$1"',
            sys.executable, FORBIDDEN,
        ],
        capture_output=True, text=True, cwd=root, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "needs user namespaces" in done.stdout
    assert "No space left on device" in done.stdout
    assert "browser.sandbox to false" in done.stdout


def test_small_or_missing_shared_memory_is_told(tmp_path: Path) -> None:
    assert has_enough_shared_memory(tmp_path, 4096)
    assert not has_enough_shared_memory(tmp_path, 1 << 60)
    assert not has_enough_shared_memory(tmp_path / "missing", 4096)
