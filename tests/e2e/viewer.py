"""A person with a real Chromium who opens the page: their own user, profile and, if asked, network."""

import contextlib
import pwd
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from playwright.async_api import BrowserContext, Page, Playwright, async_playwright

from tests.network import Namespace

VIEWER = "catnap"
"""The user under which the viewer's browser runs, in its own sandbox; as root it would refuse to start."""


def _launcher(directory: Path, namespace: Namespace | None) -> Path:
    """Write the program that starts Chromium as the viewer, inside `namespace`."""
    enter = f"ip netns exec {namespace.name} " if namespace else ""
    script = directory / "chromium"
    script.write_text(
        f'#!/bin/sh\nHOME="{directory}" exec {enter}setpriv --reuid {VIEWER} --regid {VIEWER} --init-groups '
        f'chromium "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return script


@contextlib.asynccontextmanager
async def person(
    playwright: Playwright | None = None,
    *,
    namespace: Namespace | None = None,
    width: int = 1280,
    height: int = 800,
    dark: bool = False,
    arguments: Sequence[str] = (),
) -> AsyncIterator[Page]:
    """Give a page in a Chromium of its own, with these arguments besides ours."""
    account = pwd.getpwnam(VIEWER)
    async with contextlib.AsyncExitStack() as stack:
        if playwright is None:
            playwright = await stack.enter_async_context(async_playwright())
        directory = Path(tempfile.mkdtemp(prefix="catnap-viewer-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        profile = directory / "profile"
        profile.mkdir()
        shutil.chown(profile, account.pw_uid, account.pw_gid)
        context: BrowserContext = await playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=str(_launcher(directory, namespace)),
            headless=True,
            chromium_sandbox=True,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            args=["--disable-gpu", "--autoplay-policy=user-gesture-required", *arguments],
            ignore_default_args=["--mute-audio"],
        )
        stack.push_async_callback(context.close)
        yield context.pages[0]
