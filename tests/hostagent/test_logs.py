"""The agent's log: losing lines is better than failing, and it stays short."""

import io
import os
from contextlib import suppress
from pathlib import Path

from hostagent.logs import LOG_NAME, Output, own_log
from hostagent.runtimes.process.output_log import older


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    went_on = False
    with suppress(OSError), Path("/dev/full").open("w") as full:  # closing it fails, too
        output = Output(full, None)
        for _ in range(3):
            print("x" * 100_000, file=output, flush=True)
        went_on = True
    assert went_on


def test_the_file_stays_short_and_its_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / LOG_NAME
    with log.open("a") as file:
        output = Output(file, own_log(tmp_path, file), limit=10_000)
        for number in range(5_000):
            print(f"line {number}", file=output, flush=True)
    assert log.stat().st_size <= 10_200
    assert older(log).stat().st_size <= 10_200
    assert (older(log).read_text() + log.read_text()).endswith("line 4998\nline 4999\n")


def test_a_log_that_another_program_keeps_is_left_to_it(tmp_path: Path) -> None:
    assert own_log(tmp_path, io.StringIO()) is None
    (tmp_path / LOG_NAME).touch()
    with Path(os.devnull).open("w") as elsewhere:
        assert own_log(tmp_path, elsewhere) is None
