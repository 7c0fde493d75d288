"""What a command finds when it is started as an instance."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hostagent.errors import BadRequestError, HostError, UnsupportedError
from hostagent.instances.model import Addresses
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process import open_files
from hostagent.runtimes.process.hierarchies import Hierarchies
from hostagent.runtimes.process.launch import launch, order_for
from hostagent.runtimes.process.launcher import GO
from hostagent.runtimes.process.runtime import ProcessRuntime
from tests.hostagent.runtimes.conftest import new_id, run_to_end
from tests.waiting import until

Planner = Callable[..., LaunchPlan]


async def printed(runtime: ProcessRuntime, plan: LaunchPlan) -> str:
    status, output = await run_to_end(runtime, plan)
    assert status == 0, output
    return output.strip()


@pytest.mark.parametrize("kind", ["mnt", "pid", "ipc", "uts", "net"])
async def test_it_has_namespaces_of_its_own(runtime: ProcessRuntime, plan: Planner, kind: str) -> None:
    ours = str(Path(f"/proc/self/ns/{kind}").readlink())
    theirs = await printed(runtime, plan("readlink", f"/proc/self/ns/{kind}"))
    assert theirs.startswith(f"{kind}:[")
    assert theirs != ours


async def test_it_is_a_user_of_its_own_with_a_name_and_a_home(
    runtime: ProcessRuntime, plan: Planner, addresses: Addresses
) -> None:
    script = "id -u; id -un; id -gn; id -G; pwd; echo $HOME; touch $HOME/kept; stat -c %a $HOME"
    wanted = plan("sh", "-c", script)
    uid, user, group, groups, directory, home, mode = (await printed(runtime, wanted)).split()
    assert (uid, user, group, groups) == (str(addresses.uid), "instance", "instance", str(addresses.uid))
    assert directory == home == "/instance"
    assert mode == "700"
    assert (wanted.data_directory / "instance" / "kept").stat().st_uid == addresses.uid


async def test_it_finds_what_display_servers_and_desktops_need(
    runtime: ProcessRuntime, plan: Planner, addresses: Addresses
) -> None:
    script = (
        "stat -c '%a %u' /tmp /tmp/.X11-unix $XDG_RUNTIME_DIR /dev/shm; ls -A /tmp; hostname; "
        "cat /etc/hostname; getent hosts tested | head -1; ls /sys/class/net | sort | tr '\\n' ' '"
    )
    lines = (await printed(runtime, plan("sh", "-c", script))).splitlines()
    assert lines[:4] == ["1777 0", "1777 0", f"700 {addresses.uid}", "1777 0"]
    assert lines[4:8] == [".ICE-unix", ".X11-unix", "tested", "tested"]
    assert lines[8].split()[1] == "tested"
    assert lines[9].split() == ["eth0", "lo"]


async def test_it_sees_only_its_own_processes_and_gains_no_rights(
    runtime: ProcessRuntime, plan: Planner
) -> None:
    script = "ls /proc | grep -c '^[0-9]'; grep -E 'CapEff|CapAmb|NoNew' /proc/self/status"
    count, *status = (await printed(runtime, plan("sh", "-c", script))).splitlines()
    assert int(count) < 8
    assert [line.split()[1] for line in status] == ["0000000000000000", "0000000000000000", "1"]


async def test_a_browsers_sandbox_can_be_made_in_it(runtime: ProcessRuntime, plan: Planner) -> None:
    sandbox = ("unshare", "--user", "--pid", "--net", "--fork", "--map-root-user", "id", "-u")
    assert await printed(runtime, plan(*sandbox)) == "0"


async def test_it_sees_nothing_of_our_environment_but_what_it_was_given(
    runtime: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "1")
    output = await printed(runtime, plan("env", environment=(("GIVEN", "a b"), ("LANG", "C"))))
    found = dict(line.split("=", 1) for line in output.splitlines())
    assert found.pop("PATH").startswith(str(Path(sys.executable).parent))
    assert "SECRET_OF_THE_AGENT" not in found
    assert found["GIVEN"] == "a b"
    assert found["LANG"] == "C"


async def test_it_has_the_limit_of_open_files_that_the_agent_was_started_with(
    runtime: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard  # opening a runtime took all there is
    monkeypatch.setattr(open_files, "_given", 1000)
    assert await printed(runtime, plan("sh", "-c", "ulimit -Sn; ulimit -Hn")) == f"1000\n{hard}"


async def test_no_file_of_ours_is_open_in_it(runtime: ProcessRuntime, plan: Planner) -> None:
    output = await printed(runtime, plan("sh", "-c", "ls -l /proc/1/fd /proc/self/fd | grep -o '/.*'"))
    expected = ("output.log", "/dev/null", "/fd", "/fd:")
    assert [line for line in output.splitlines() if not line.endswith(expected)] == []


async def test_no_mount_of_it_is_seen_on_the_host(runtime: ProcessRuntime, plan: Planner) -> None:
    await runtime.start(plan("sleep", "60"))
    assert not [
        line for line in Path("/proc/self/mounts").read_text().splitlines() if line.startswith("instance ")
    ]
    assert not Path("/uk").exists()


async def test_a_project_in_a_directory_that_it_has_its_own_of_is_shown(
    runtime: ProcessRuntime, plan: Planner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tmp_path_factory.mktemp("project")
    project.chmod(0o755)
    (project / "page.txt").write_text("here\n")
    assert str(project).startswith("/tmp/")
    assert await printed(runtime, plan("cat", "page.txt", working_directory=project)) == "here"


async def test_it_can_be_an_account_of_the_host(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sh", "-c", "id -un; echo $HOME", user="nobody", working_directory=Path("/"))
    assert (await printed(runtime, wanted)).split() == ["nobody", "/nonexistent"]


async def test_an_account_that_is_not_there_is_refused(runtime: ProcessRuntime, plan: Planner) -> None:
    with pytest.raises(BadRequestError, match="no account 'nemo'"):
        await runtime.start(plan("true", user="nemo"))


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
async def test_how_it_ended_is_told(runtime: ProcessRuntime, plan: Planner, script: str, status: int) -> None:
    assert (await run_to_end(runtime, plan("sh", "-c", script)))[0] == status


async def test_what_it_prints_is_kept_over_restarts(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sh", "-c", "echo out; echo err >&2")
    await run_to_end(runtime, wanted)
    _, output = await run_to_end(runtime, wanted)
    assert output.split() == ["out", "err"] * 2


async def test_a_start_of_what_runs_leaves_it_alone(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sleep", "60")
    assert await runtime.start(wanted) == await runtime.start(wanted)


async def test_a_program_that_is_not_there_is_named(runtime: ProcessRuntime, plan: Planner) -> None:
    with pytest.raises(BadRequestError, match=r"no program 'catnip' in .*give its whole path"):
        await runtime.start(plan("catnip"))
    with pytest.raises(BadRequestError, match="/opt/catnip does not exist"):
        await runtime.start(plan("/opt/catnip"))


async def test_a_program_that_its_user_cannot_reach_is_told_with_the_way_out(
    runtime: ProcessRuntime, plan: Planner, addresses: Addresses
) -> None:
    closed = Path("/opt", new_id())
    closed.mkdir(mode=0o700)
    try:
        program = closed / "tool"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        with pytest.raises(BadRequestError) as told:
            await runtime.start(plan(str(program)))
        assert f"uid {addresses.uid}) may not enter {closed} (mode 0700, owner 0:0)" in str(told.value)
        assert f"chmod o+x {closed}" in str(told.value)
        closed.chmod(0o755)
        program.chmod(0o744)
        with pytest.raises(BadRequestError, match=r"may not start .*tool \(mode 0744"):
            await runtime.start(plan(str(program)))
        # an interpreter in a closed place, as in a venv made by a tool that keeps Python in root's home
        closed.chmod(0o700)
        script = closed.with_suffix(".script")
        script.write_text(f"#!{closed}/tool\n")
        script.chmod(0o755)
        with pytest.raises(BadRequestError, match=f"may not enter {closed}"):
            await runtime.start(plan(str(script)))
        script.unlink()
    finally:
        subprocess.run(["rm", "-rf", closed, closed.with_suffix(".script")], check=True)


async def test_a_directory_that_its_user_may_not_enter_is_told(
    runtime: ProcessRuntime, plan: Planner, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(BadRequestError, match=f"may not (read|enter) {tmp_path}"):
        await runtime.start(plan("true", working_directory=tmp_path))


async def test_code_of_ours_that_its_user_cannot_read_is_told(
    runtime: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Path("/opt", new_id())
    closed.mkdir(mode=0o711)
    monkeypatch.setattr("hostagent.runtimes.process.launch._TREE", closed)
    order = order_for(plan("catnap", "--version"), ())
    monkeypatch.undo()
    try:
        with pytest.raises(BadRequestError, match=f"may not read {closed}"):
            await launch(order)
    finally:
        closed.rmdir()


async def test_a_network_that_is_not_there_is_told_and_leaves_nothing(
    runtime: ProcessRuntime, plan: Planner, addresses: Addresses
) -> None:
    wanted = plan("true")
    wanted = replace(wanted, addresses=replace(addresses, netns="nowhere"))
    with pytest.raises(HostError, match=r"cannot enter the instance's network.*nowhere"):
        await runtime.start(wanted)
    found = await runtime.inspect(wanted.id, None)
    assert found.process is None
    await runtime.teardown()


async def test_nothing_is_started_when_the_agent_dies_before_it_knows_the_process(
    runtime: ProcessRuntime, plan: Planner
) -> None:
    wanted = plan("touch", "/instance/started")
    order = order_for(wanted, ())
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-m", "hostagent.runtimes.process.launcher",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert launcher.stdin
    assert launcher.stdout
    launcher.stdin.write(order.to_json())
    told: dict[str, int] = {}
    for _ in range(2):
        told |= json.loads(await launcher.stdout.readline())
    assert told["ready"], told
    launcher.stdin.close()
    await launcher.wait()
    assert await launcher.stdout.read() == b""  # the end of file: process 1 has gone
    os.waitpid(told["pid"], 0)
    assert not (wanted.data_directory / "instance" / "started").exists()
    assert GO == b"go\n"


async def test_an_aborted_start_leaves_nothing(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sleep", "60")
    task = asyncio.create_task(runtime.start(wanted))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found = await runtime.inspect(wanted.id, None)
    assert found.process is None or not task.cancelled()


async def test_it_is_asked_to_end_and_then_made_to(runtime: ProcessRuntime, plan: Planner) -> None:
    polite = plan("sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done")
    await runtime.start(polite)
    log = polite.data_directory / "output.log"
    await until(lambda: "up" in log.read_text(), within=10, what="it runs")
    assert await runtime.stop(polite.id, 10) == 3
    assert log.read_text().split()[-1] == "bye"
    stubborn = plan("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done")
    await runtime.start(stubborn)
    log = stubborn.data_directory / "output.log"
    await until(lambda: "up" in log.read_text(), within=10, what="it runs")
    assert await runtime.stop(stubborn.id, 0.1) == -signal.SIGKILL
    assert await runtime.stop(stubborn.id, 0.1) == -signal.SIGKILL  # has stopped: nothing to do


async def test_nothing_is_left_of_a_destroyed_one(runtime: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sh", "-c", "setsid sleep 61 & setsid setsid sleep 61 & wait")
    stamp = await runtime.start(wanted)
    namespace = Path(f"/proc/{stamp.pid}/ns/pid").readlink()
    await runtime.destroy(wanted.id)
    await runtime.destroy(wanted.id)
    assert runtime.known() == ()

    def members() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns/pid").readlink() == namespace:
                    found.append(process.name)
            except OSError:
                continue
        return found

    assert members() == []
    await runtime.teardown()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{runtime.group}*"))


async def test_a_machine_without_cgroups_is_told(plan: Planner) -> None:
    bare = ProcessRuntime(Hierarchies(None, False, None, None), {}, "none")
    with pytest.raises(UnsupportedError, match="neither cgroup v2 nor the freezer of cgroup v1"):
        await bare.start(plan("true"))


@pytest.mark.parametrize("place", ["/tmp", "/run", "/"])
async def test_the_hosts_own_temporary_files_stay_out_of_sight(
    runtime: ProcessRuntime, plan: Planner, tmp_path: Path, place: str
) -> None:
    wanted = plan("sh", "-c", "ls -A /tmp; ls -A /run", working_directory=Path(place))
    assert (await printed(runtime, wanted)).split() == [".ICE-unix", ".X11-unix", "instance", "lock", "user"]
