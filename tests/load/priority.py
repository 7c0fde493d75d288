"""A machine for ourselves: what is measured runs before everything else that others run on it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MEASURED, LOADING = 2, 1
"""Real-time priorities: the server and who watches it go first, then those who load it, then the others."""


def put_first(process_id: int, priority: int = MEASURED) -> None:
    """Let all threads of a process run before those of lower priority; needs root."""
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(priority))


def put_server_first(process_id: int) -> None:
    """Do so with a server and its display; its browser stays where it is."""
    put_first(process_id)
    for child in psutil.Process(process_id).children(recursive=True):
        if child.name() == "Xvfb":
            put_first(child.pid)
