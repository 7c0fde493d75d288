"""Kernel settings: what was there before comes back, whoever puts it back."""

from pathlib import Path

import pytest

from hostagent.network import sysctls
from hostagent.network.sysctls import SysctlError, Sysctls


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "sys"
    (root / "net").mkdir(parents=True)
    monkeypatch.setattr(sysctls, "ROOT", root)
    (root / "net" / "forward").write_text("0\n")
    return root


def test_the_first_value_is_kept_over_agents(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "run" / "sysctls.json"
    Sysctls(memory).change("net/forward", "1")
    Sysctls(memory).change("net/forward", "2")
    Sysctls(memory).restore()
    assert (root / "net" / "forward").read_text() == "0"
    assert not memory.exists()
    Sysctls(memory).restore()


def test_what_is_so_already_is_not_ours_to_put_back(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "sysctls.json"
    Sysctls(memory).change("net/forward", "0")
    (root / "net" / "forward").write_text("1")
    Sysctls(memory).restore()
    assert (root / "net" / "forward").read_text() == "1"


def test_what_is_gone_is_skipped(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "sysctls.json"
    Sysctls(memory).change("net/forward", "1")
    (root / "net" / "forward").unlink()
    Sysctls(memory).restore()
    assert not memory.exists()


def test_what_does_not_exist_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SysctlError, match="net/missing/thing"):
        Sysctls(tmp_path / "memory").change("net/missing/thing", "1")


def test_a_damaged_memory_is_kept(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "sysctls.json"
    memory.write_text("{")
    with pytest.raises(SysctlError, match=r"sysctls\.json"):
        Sysctls(memory).change("net/forward", "1")
    with pytest.raises(SysctlError):
        Sysctls(memory).restore()
    assert memory.read_text() == "{"
    assert (root / "net" / "forward").read_text() == "0\n"
