"""Runs a target under atheris, or writes the seeds: `python -m tests.fuzzing --help`."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import structlog

from tests.fuzzing.target import CORPUS, TARGETS, module_of, words_of

MOST_SECONDS_EACH = 10
MOST_MEGABYTES = 1500


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "seeds"], help="what to feed; `seeds` writes the seeds")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--found", type=Path, help="where to keep what it finds (.cache/fuzzing/TARGET)")
    wanted = parser.parse_args()
    if wanted.target == "seeds":
        write_seeds()
    else:
        run(wanted.target, wanted.seconds, wanted.found or Path(".cache/fuzzing") / wanted.target)


def write_seeds() -> None:
    """Write every target's seeds into the corpus; other files there stay."""
    for target in TARGETS:
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in module_of(target).seeds().items():
            (folder / name).write_bytes(content)


def run(name: str, seconds: int, found: Path) -> None:
    """Fuzz one target. Ends the process: with 0, or with 77 and the input in `found/crash-…`."""
    import atheris  # here: only the fuzzer itself needs it

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    parts = parts_of(name)
    packages = sorted({part.partition(".")[0] for part in parts})
    with atheris.instrument_imports(packages, list(others(packages, parts)), enable_loader_override=False):
        module = module_of(name)
    target = module.open_target()
    corpus = found / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={module.MAX_LENGTH}",
        f"-timeout={MOST_SECONDS_EACH}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-use_value_profile=0",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".dict", delete=False) as words:
        words.writelines(f'"{_escaped(word)}"\n' for word in words_of(name))
    if words_of(name):
        options.append(f"-dict={words.name}")
    folders = [str(corpus), str(CORPUS / name)]
    atheris.Setup([sys.argv[0], *options, *folders], target.feed)
    try:
        atheris.Fuzz()
    finally:
        os.unlink(words.name)  # noqa: PTH108


def parts_of(name: str) -> tuple[str, ...]:
    """Return what a target wants instrumented, without importing it."""
    for node in ast.parse((Path(__file__).parent / "targets" / f"{name}.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INSTRUMENTED":
            return tuple(ast.literal_eval(node.value))
    raise AssertionError(f"{name} does not say what to instrument")


def others(packages: list[str], parts: tuple[str, ...]) -> Iterator[str]:
    """Name the modules of the packages that are in none of the parts: instrumenting all takes a minute."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for file in Path(folder).rglob("*.py"):
                module = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
                module = module.removesuffix(".__init__")
                if not any(f"{module}.".startswith(f"{part}.") for part in parts):
                    yield module


def _escaped(word: str) -> str:
    return "".join(
        char if char.isalnum() or char in " ._-/:" else "".join(f"\\x{byte:02x}" for byte in char.encode())
        for char in word
    )


if __name__ == "__main__":
    main()
