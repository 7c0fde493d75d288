"""What goes wrong with a configuration."""

from collections.abc import Sequence


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says why, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
