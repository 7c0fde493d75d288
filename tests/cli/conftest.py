import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Catnap = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def catnap(tmp_path: Path) -> Catnap:
    """Run `catnap` with these arguments in an empty directory; NEKO_ variables of ours are not passed on."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        ours = {name: value for name, value in os.environ.items() if not name.startswith("NEKO_")}
        code = "from streamserver.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=ours | {"PYTHONPATH": str(Path(__file__).parents[2])} | dict(env or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
