"""Starts an agent that outlives the command, where none answers."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import click

from hostagent.client import AgentClient
from hostagent.logs import LOG_NAME
from hostagent.settings import load_settings

START_DEADLINE = 30.0
_POLL = 0.05
_LINES = 15
_LOG_BYTES = 8 << 20
"""A log longer than this is set aside when the next agent starts; the one before it goes."""


def ensure_agent(run_dir: Path) -> bool:
    """Start an agent when none answers; True when it was. Raises ClickException with its last words."""
    with AgentClient(run_dir / "agent.sock") as client:
        if _answers_or_is_free(client, run_dir):
            return False
        if os.geteuid() != 0:
            raise click.ClickException(
                "no agent answers, and starting one needs root: it makes network namespaces and cgroups. "
                "Try `sudo catnap host run …`"
            )
        settings = load_settings(None, os.environ, {"run_dir": str(run_dir)})
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        log = settings.data_dir / LOG_NAME
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            start = output.tell()
            agent = subprocess.Popen(
                [sys.executable, "-m", "hostagent", "--run-dir", str(run_dir), "agent"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline:
            if client.answers():
                return True
            if agent.poll() is not None and is_free(run_dir):  # else another one was quicker
                break
            time.sleep(_POLL)
        raise click.ClickException(f"the agent did not start. Its log {log} ends:\n{_end_of(log, start)}")


def is_free(run_dir: Path) -> bool:
    """Tell whether no agent has the directory: it holds a lock from its first step to its last."""
    try:
        descriptor = os.open(run_dir / "agent.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _answers_or_is_free(client: AgentClient, run_dir: Path) -> bool:
    """Tell whether an agent answers; one that is starting or ending is waited for."""
    deadline = time.monotonic() + START_DEADLINE
    while not (answers := client.answers()) and not is_free(run_dir) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return answers


def _end_of(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LINES:]) or "(nothing: is the disk full?)"
