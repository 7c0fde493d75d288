"""The limit of open files: the agent needs two for each instance, which gets what the agent was given."""

import resource

_given, _ = resource.getrlimit(resource.RLIMIT_NOFILE)


def given() -> int:
    """Return the limit that this process was started with."""
    return _given


def raise_own() -> None:
    """Use all that this process may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_own(soft: int) -> None:
    """Go back to a lower limit, for what is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
