"""The page's JSDoc types hold: `tsc -p tests/web`."""

import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent


def test_the_types_hold() -> None:
    done = subprocess.run(["tsc", "-p", PROJECT], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0
