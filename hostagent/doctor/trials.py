"""One function for each thing an instance needs: tries it for real, in namespaces that are gone afterwards.

Each blocks for some tens of milliseconds and changes nothing on the host.
"""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import hostagent
from hostagent.doctor.finding import Finding
from hostagent.runtimes.process.launch import SYSTEM_PATH

TIMEOUT = 15.0
"""Seconds for one trial on a busy machine."""
NOBODY = 65534
"""Stands for the users that instances get."""
_TREE = Path(hostagent.__file__).parent.parent


def _run(*command: str) -> str | None:
    """Run it; return None when it worked, else the last line of what it said."""
    try:
        tried = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=TIMEOUT, cwd=_TREE, env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return None
    return tried.stdout.strip().rpartition("\n")[2] or f"{command[0]} ended with {tried.returncode}"


def root() -> Finding:
    """Namespaces, cgroups and routes are root's."""
    uid = os.geteuid()
    if uid == 0:
        return Finding("root", True, "the agent runs as root")
    return Finding("root", False, f"the agent runs as user {uid}", "start it with sudo")


def first_process() -> Finding:
    """Process 1 of an instance."""
    found = shutil.which("tini", path=SYSTEM_PATH)
    if found:
        return Finding("tini", True, f"{found} will be process 1 of instances")
    return Finding("tini", False, "tini is not installed", "apt-get install tini")


def namespaces() -> Finding:
    """What separates instances."""
    refusal = _run(
        "unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--mount-proc", "true"
    )  # fmt: skip
    if refusal is None:
        return Finding(
            "namespaces", True, "a process had mount, process, IPC, host name and network of its own"
        )
    return Finding(
        "namespaces", False, f"namespaces were refused: {refusal}",
        "run the agent on the host, or in a container with --privileged",
    )  # fmt: skip


def user_namespaces() -> Finding:
    """What Chromium's sandbox is made of."""
    nobody = str(NOBODY)
    refusal = _run(
        "setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", "--no-new-privs",
        "unshare", "--user", "--pid", "--fork", "true",
    )  # fmt: skip
    name = "browser sandbox"
    if refusal is None:
        return Finding(name, True, "an ordinary user may make user namespaces", need="better with")
    return Finding(
        name, False, f"an ordinary user may not make user namespaces: {refusal}",
        "sysctl -w user.max_user_namespaces=15000; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0",
        "better with",
    )  # fmt: skip


def code_readable() -> Finding:
    """Instances of `catnap serve` read the same files as we do, as another user."""
    name, paths = "code", (sys.executable, sys.prefix, str(_TREE))
    try:
        tried = subprocess.run(
            [sys.executable, "-S", "-E", "-m", "hostagent.runtimes.process.reach", str(NOBODY), *paths],
            capture_output=True, text=True, errors="replace", timeout=TIMEOUT, cwd=_TREE,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, False, f"could not be tried: {error}")
    reason = tried.stdout or tried.stderr.strip().rpartition("\n")[2]
    if not reason:
        return Finding(name, True, f"the users of instances can read {_TREE} and {sys.prefix}")
    return Finding(name, False, reason, "install catnap where others may read, such as /opt/catnap")


def links() -> Finding:
    """The cable of an instance."""
    refusal = _run("unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
    if refusal is None:
        return Finding("network links", True, "a pair of veth interfaces was made")
    return Finding(
        "network links", False, f"no veth interfaces: {refusal}", "apt-get install iproute2; modprobe veth"
    )


def packet_tracking() -> Finding:
    """What tells activity: nftables and conntrack."""
    refusal = _run("unshare", "--net", sys.executable, "-S", "-E", "-m", "hostagent.doctor.packets")
    if refusal is None:
        return Finding(
            "packets", True, "nftables and connection tracking work, and packets can be logged to the agent"
        )
    return Finding(
        "packets", False, refusal,
        "apt-get install libnftables1; on the host: modprobe -a nf_conntrack_netlink nfnetlink_log",
    )  # fmt: skip


def packet_queue() -> Finding:
    """What holds the first packet for an instance that has to be started."""
    rule = "OUTPUT -m mark --mark 1 -j NFQUEUE --queue-num 1 --queue-bypass"
    refusal = _run("unshare", "--net", "iptables", "-A", *rule.split())
    if refusal is None:
        return Finding(
            "packet queue", True, "packets to stopped instances can be held (NFQUEUE)", need="better with"
        )
    return Finding(
        "packet queue", False, f"no NFQUEUE: {refusal}; the packet that starts a stopped instance is lost",
        "apt-get install iptables; modprobe xt_NFQUEUE", "better with",
    )  # fmt: skip


OPEN_FILES = 8192
"""Enough for 2,000 instances: each takes two of the agent's descriptors, and an API caller one."""


def open_files() -> Finding:
    """The limit that the agent can raise its own to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    name, found = (
        "open files",
        f"the agent may open {hard if hard != resource.RLIM_INFINITY else 'any number of'} files",
    )
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES:
        return Finding(name, True, found, need="better with")
    return Finding(
        name, False, f"{found}, enough for {hard // 4} instances", f"ulimit -Hn {OPEN_FILES}", "better with"
    )
