"""In which order plugins start: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartOrder:
    """The answer: who starts, in which order, and who cannot, with the reason."""

    order: tuple[str, ...]
    """Each name once, after everything it depends on."""
    impossible: Mapping[str, str]
    """Name -> a sentence that names the path to the cycle or to the missing plugin."""


def start_order(
    dependencies: Mapping[str, Sequence[str]], unusable: Mapping[str, str] | None = None
) -> StartOrder:
    """Order plugins depth-first, in the order given.

    Args:
        dependencies: name -> the names it depends on.
        unusable: names that exist but cannot start -> why (one that failed to load).
    """
    return _Walk(dependencies, unusable or {}).result()


class _Walk:
    def __init__(self, dependencies: Mapping[str, Sequence[str]], unusable: Mapping[str, str]) -> None:
        self._dependencies = dependencies
        self._unusable = unusable
        self._order: list[str] = []
        self._impossible: dict[str, str] = {}

    def result(self) -> StartOrder:
        for name in self._dependencies:
            self._visit(name, ())
        return StartOrder(tuple(self._order), dict(self._impossible))

    def _visit(self, name: str, path: tuple[str, ...]) -> None:
        if name in self._impossible or name in self._order:
            return
        here = (*path, name)
        for needed in self._dependencies[name]:
            problem = self._problem_with(needed, here)
            if problem:
                self._impossible.setdefault(name, problem)
                return
        if name not in self._impossible:
            self._order.append(name)

    def _problem_with(self, needed: str, path: tuple[str, ...]) -> str | None:
        chain = " -> ".join((*path, needed))
        if needed in path:
            cycle = path[path.index(needed) :]
            sentence = f"plugins depend on each other in a circle: {' -> '.join((*cycle, needed))}"
            for member in cycle:
                self._impossible.setdefault(member, sentence)
            return sentence
        if needed not in self._dependencies:
            if needed in self._unusable:
                return f"it needs plugin {needed!r}, which cannot be used ({chain}): {self._unusable[needed]}"
            return f"it needs plugin {needed!r}, which is not installed ({chain})"
        self._visit(needed, path)
        if needed in self._impossible:
            return f"it needs plugin {needed!r} ({chain}): {self._impossible[needed]}"
        return None
