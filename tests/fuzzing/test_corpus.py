"""Every input that was worth keeping, fed to its target again; and the fuzzer itself, for a moment."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzzing.target import CORPUS, TARGETS, corpus_of, module_of, words_of

MOST_SECONDS = 5.0
"""Of computing, for one input; none takes 0.2 s."""


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    modules = {file.stem for file in (Path(__file__).parent / "targets").glob("[a-z]*.py")}
    assert modules == set(TARGETS) == {folder.name for folder in CORPUS.iterdir()}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_in_the_corpus_is_a_finding(name: str) -> None:
    target = module_of(name).open_target()
    try:
        for file in corpus_of(name):
            began = time.process_time()
            try:
                target.feed(file.read_bytes())
            except Exception as failure:
                failure.add_note(f"fed with {file}")
                raise
            assert time.process_time() - began < MOST_SECONDS, file
    finally:
        target.close()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_in_the_corpus(name: str) -> None:
    files = {file.name: file.read_bytes() for file in corpus_of(name)}
    for seed, content in module_of(name).seeds().items():
        assert files.get(seed) == content, f"{name}/{seed}: write it with `python -m tests.fuzzing seeds`"
    assert all(word.isprintable() for word in words_of(name))


def test_the_fuzzer_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzzing", "gate_file", "--seconds", "1", "--found", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "INFO: Instrumenting hostagent.gatefile.counter" in done.stderr
    assert "stat::number_of_executed_units" in done.stderr
    assert not list(tmp_path.glob("crash-*"))
