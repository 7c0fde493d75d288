"""Whether Chromium's sandbox can work here: containers often forbid what it is made of."""

import shutil
import subprocess
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.process import PATH

TIMEOUT = 10.0
"""Seconds that the attempt may take on a busy machine; it takes milliseconds."""
CAP_SYS_ADMIN = 21
"""Bit of the capability (capabilities(7)) that Chromium's setuid helper needs."""
STATUS = Path("/proc/self/status")


def why_not(account: Account) -> str | None:
    """Return why a browser of that account cannot have a sandbox, None when it can or when we cannot tell.

    Chromium puts its processes into user, process and network namespaces of their own, or has a setuid
    helper do it; so we try the first and see whether the second could get the power it needs.
    """
    refusal = _refused_namespaces(account)
    if refusal is None or setuid_helper_can_work(STATUS.read_text()):
        return None
    return (
        f"the browser's sandbox needs user namespaces, which this machine or container forbids ({refusal}): "
        "allow them (Docker: --security-opt seccomp=FILE with a profile that lets clone and unshare pass, or "
        "--cap-add SYS_ADMIN; elsewhere: sysctl user.max_user_namespaces), or set browser.sandbox to false "
        "(NEKO_BROWSER_SANDBOX=false), and a page that breaks the browser has all that its account has"
    )


def setuid_helper_can_work(status: str) -> bool:
    """Tell from proc(5)'s status of a process whether its children can gain CAP_SYS_ADMIN by setuid."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    bounded_by = int(fields["CapBnd"], 16)
    return bool(bounded_by >> CAP_SYS_ADMIN & 1) and fields.get("NoNewPrivs", "0") == "0"


def _refused_namespaces(account: Account) -> str | None:
    unshare = shutil.which("unshare", path=PATH)
    if unshare is None:
        return None
    other = None if account.is_ourselves else account
    try:
        attempt = subprocess.run(
            [unshare, "--user", "--pid", "--net", "true"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", timeout=TIMEOUT, cwd="/", env={"PATH": PATH, "LC_ALL": "C"},
            user=other.uid if other else None,
            group=other.gid if other else None,
            extra_groups=other.groups if other else None,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if attempt.returncode == 0:
        return None
    return attempt.stderr.strip().rpartition("\n")[2] or f"unshare ended with {attempt.returncode}"
