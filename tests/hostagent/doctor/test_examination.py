"""What `catnap host doctor` says about this machine, and about one where something is missing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hostagent.doctor import examination, trials
from hostagent.doctor.examination import examine
from hostagent.doctor.finding import Finding
from hostagent.errors import HostError
from hostagent.gatefile.client import GateClient
from hostagent.runtimes.process.hierarchies import Hierarchies

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="most of what is tried needs root")


async def test_this_machine_has_what_it_needs_and_is_left_as_it_was() -> None:
    findings = await examine()
    by_name = {finding.name: finding for finding in findings}
    assert len(by_name) == len(findings)
    wanting = {
        name: f"{finding.found} {finding.advice}" for name, finding in by_name.items() if not finding.ok
    }
    assert {name for name in wanting if by_name[name].need == "needed"} == set(), wanting
    assert by_name["level awake"].ok
    assert by_name["level stopped"].ok
    assert not by_name["level standby"].ok
    assert all(finding.found for finding in findings)
    assert "catnap-doctor-" not in Path("/proc/self/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/catnap-doctor-{os.getpid()}-*"))


@pytest.mark.parametrize(
    "trial",
    [trials.first_process, trials.namespaces, trials.user_namespaces, trials.links, trials.packet_tracking,
     trials.packet_queue],
)  # fmt: skip
def test_a_machine_without_the_programs_is_told_what_to_do(
    trial: Callable[[], Finding], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trials, "SYSTEM_PATH", str(tmp_path))
    finding = trial()
    assert not finding.ok
    assert "not installed" in finding.found
    assert finding.advice


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert trials.root() == Finding("root", False, "the agent runs as user 1000", "start it with sudo")


def test_code_that_instances_cannot_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tree = trials._TREE
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("sys.prefix", str(closed))
    finding = trials.code_readable()
    assert not finding.ok
    assert "may not" in finding.found
    assert str(tmp_path) in finding.found or "/tmp/" in finding.found
    assert finding.advice
    assert tree == trials._TREE


def test_a_low_limit_of_open_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 4096))
    finding = trials.open_files()
    assert not finding.ok
    assert finding.found == "the agent may open 4096 files, enough for 1024 instances"


async def test_a_machine_without_fuse_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: GateClient) -> None:
        raise HostError("fuse: device not found")

    monkeypatch.setattr(GateClient, "start", refuse)
    finding = await examination.gate_file()
    assert not finding.ok
    assert "device not found" in finding.found
    assert finding.advice


async def test_a_machine_without_freezers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "find_hierarchies", lambda: Hierarchies(None, False, None, None))
    frozen, reclaimed = (await examination.levels())[1:3]
    assert (frozen.name, frozen.ok, frozen.need) == ("level frozen", False, "needed")
    assert "neither cgroup v2 nor the freezer of cgroup v1 is mounted" in frozen.found
    assert "cgroup v2" in frozen.advice
    assert not reclaimed.ok
    assert "memory is only taken from frozen instances" in reclaimed.found
