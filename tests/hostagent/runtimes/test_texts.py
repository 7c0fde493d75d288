"""What is pure in the runtime: the files of /etc, mountinfo, and the log's bounds."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.instances.model import InstanceId
from hostagent.runtimes.process.accounts import FALLBACK_RESOLVERS, resolver_file, with_entry
from hostagent.runtimes.process.hierarchies import find_hierarchies
from hostagent.runtimes.process.log_keeper import INTERVAL, LogKeeper
from hostagent.runtimes.process.output_log import bound, older, tail
from hostagent.runtimes.process.reach import explain
from tests.waiting import until


@pytest.mark.parametrize(
    ("host", "upstream", "wanted"),
    [
        ("nameserver 10.0.0.1\nsearch lan\n# x\n", "", "nameserver 10.0.0.1\nsearch lan\n"),
        ("nameserver 127.0.0.53\noptions edns0\n", "nameserver 9.9.9.9\n", "nameserver 9.9.9.9\n"),
        ("nameserver ::1\nnameserver 10.0.0.1\n", "", "nameserver 10.0.0.1\n"),
        ("nameserver 127.0.0.53\n", "", "".join(f"nameserver {server}\n" for server in FALLBACK_RESOLVERS)),
        ("nameserver\n", "", "".join(f"nameserver {server}\n" for server in FALLBACK_RESOLVERS)),
    ],
)
def test_a_resolver_is_one_that_another_network_reaches(host: str, upstream: str, wanted: str) -> None:
    assert resolver_file(host, upstream) == wanted


def test_an_entry_takes_the_place_of_others_with_its_name_or_number() -> None:
    text = "root:x:0:0::/root:/bin/sh\ninstance:x:9:9::/:/bin/sh\nother:x:7:7::/:/bin/sh\n+\n"
    assert with_entry(text, "instance:x:7:7::/instance:/bin/sh").splitlines() == [
        "root:x:0:0::/root:/bin/sh", "+", "instance:x:7:7::/instance:/bin/sh",
    ]  # fmt: skip


V1 = "36 25 0:31 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
V1_MEMORY = "37 25 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2 = "42 25 0:38 / {place} rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize("memory", [True, False])
def test_hierarchies_are_found(tmp_path: Path, memory: bool) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    (place / "cgroup.controllers").write_text("cpu memory pids\n" if memory else "cpu\n")
    text = V1 + V2.format(place=str(place).replace(" ", "\\040")) + V1_MEMORY
    found = find_hierarchies(text)
    assert found.unified == place
    assert found.unified_memory is memory
    assert (found.freezer, found.memory) == (Path("/sys/fs/cgroup/freezer"), Path("/sys/fs/cgroup/memory"))


def test_a_machine_without_cgroups_has_none() -> None:
    found = find_hierarchies("22 1 0:20 / / rw - ext4 /dev/vda rw\n")
    assert (found.unified, found.freezer, found.memory, found.unified_memory) == (None, None, None, False)


@given(st.lists(st.text("ab", max_size=30), max_size=20), st.integers(10, 200))
def test_a_log_keeps_its_end(tmp_path_factory: pytest.TempPathFactory, lines: list[str], limit: int) -> None:
    log = tmp_path_factory.mktemp("log") / "output.log"
    for line in lines:
        with log.open("a") as writer:
            writer.write(line + "\n")
        bound(log, limit)
        assert log.stat().st_size <= limit
    if older(log).exists():
        assert older(log).stat().st_size <= limit
    shown = tail(log, 3)
    assert len(shown) <= 3
    assert not lines or not shown or lines[-1].endswith(shown[-1])


def test_who_writes_goes_on_writing_after_a_log_was_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    with log.open("a") as writer:
        writer.write("old\n" * 100)
        writer.flush()
        assert bound(log, 50)
        writer.write("new\n")
    assert log.read_text() == "new\n"
    assert tail(log, 2) == ["old", "new"]
    assert tail(log, 0) == []


async def test_logs_are_looked_at_while_somebody_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostagent.runtimes.process.log_keeper.INTERVAL", 0.02)
    monkeypatch.setattr("hostagent.runtimes.process.output_log.MAX_BYTES", 10)
    log = tmp_path / "output.log"
    keeper, instance = LogKeeper(), InstanceId("one")
    log.write_text("x" * (9 << 20))
    keeper.watch(instance, log)
    await until(lambda: log.stat().st_size == 0, within=5, what="the log is moved aside")
    keeper.rest(instance)
    await until(lambda: not keeper.looks, within=5, what="nobody looks any more")
    keeper.resume(instance)
    assert keeper.looks
    keeper.forget(instance)
    keeper.forget(instance)
    keeper.resume(instance)
    await until(lambda: not keeper.looks, within=5, what="nobody looks any more")
    keeper.close()
    assert INTERVAL == 1.0


@pytest.mark.parametrize("missing", ["/nowhere/at/all", "/etc/nowhere/file", "/etc/nothing"])
def test_what_is_not_there_is_not_said_to_be_forbidden(missing: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{missing} does not exist in the instance"):
        explain(Path(missing), "nobody", os.R_OK)
