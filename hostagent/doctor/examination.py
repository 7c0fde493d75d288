"""Everything an agent needs of its machine, tried in one go."""

import asyncio
import os
import secrets
import tempfile
from pathlib import Path

from hostagent.doctor import trials
from hostagent.doctor.finding import Finding
from hostagent.errors import HostError
from hostagent.gatefile.client import GateClient
from hostagent.instances.model import InstanceId, Level
from hostagent.runtimes.process.hierarchies import find_hierarchies
from hostagent.runtimes.process.probes import probe_levels, remove_group

TRIALS = (
    trials.root,
    trials.first_process,
    trials.namespaces,
    trials.user_namespaces,
    trials.code_readable,
    trials.links,
    trials.packet_tracking,
    trials.packet_queue,
    trials.open_files,
)
LEVEL_ADVICE = {
    Level.FROZEN: "mount cgroup v2 (or the freezer of v1) and let the agent write to it; it needs root",
    Level.RECLAIMED: "fallocate -l 2G /swap && chmod 600 /swap && mkswap /swap && swapon /swap",
}


async def examine() -> list[Finding]:
    """Try everything; takes about a second and leaves nothing behind."""
    findings = [await asyncio.to_thread(trial) for trial in TRIALS]
    findings.append(await gate_file())
    return [*findings, *await levels()]


async def gate_file() -> Finding:
    """Serve a gate file for a moment and write to it."""
    with tempfile.TemporaryDirectory(prefix="catnap-doctor-") as directory:
        client = GateClient(Path(directory, "gate"))
        instance = InstanceId("probe")
        try:
            await client.start()
            path = await client.create(instance, reset=True)
            await asyncio.to_thread(path.write_text, "+")
            count = client.count(instance)
        except (HostError, OSError) as error:
            return Finding(
                "gate file", False, f"the gate file does not work: {error}", "apt-get install libfuse3-3"
            )
        finally:
            await client.shut_down()
    if count != 1:
        return Finding("gate file", False, f"a `+` was written to the gate file, and its count is {count}")
    return Finding("gate file", True, "a gate file was mounted (FUSE), and counts what is written to it")


async def levels() -> list[Finding]:
    """Say which levels instances can sleep at, and why not the others."""
    group = f"catnap-doctor-{os.getpid()}-{secrets.token_hex(3)}"
    hierarchies = find_hierarchies()
    found = await probe_levels(hierarchies, group)
    remove_group(hierarchies, group)
    return [
        Finding(
            f"level {support.level}",
            support.supported,
            support.answer,
            "" if support.supported else LEVEL_ADVICE.get(support.level, ""),
            "needed" if support.level is Level.FROZEN else "better with",
        )
        for support in found.values()
    ]
