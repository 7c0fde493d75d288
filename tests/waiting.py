"""Waiting for a condition with a deadline: what tests use instead of sleeping."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.02
"""Seconds between two looks at the condition."""

PATIENCE = 3
"""How much longer than asked a wait lasts before it fails: several tests share a machine that may be slow.

A deadline ends a wait in vain; where the time is the claim, `exactly` says so.
"""


async def until(condition: Callable[[], T], *, within: float, what: str, exactly: bool = False) -> T:
    """Return the condition's first truthy value; fail naming `what` after `within` seconds."""
    within = within if exactly else within * PATIENCE
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s in vain until {what}; last value: {value!r}")
        await asyncio.sleep(POLL_INTERVAL)
    return value


def wait_until(condition: Callable[[], T], *, within: float, what: str, exactly: bool = False) -> T:
    """Do the same without an event loop."""
    within = within if exactly else within * PATIENCE
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s in vain until {what}; last value: {value!r}")
        time.sleep(POLL_INTERVAL)
    return value
