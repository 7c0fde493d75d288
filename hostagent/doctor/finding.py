"""What a probe found."""

from dataclasses import dataclass
from typing import Literal

Need = Literal["needed", "better with"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `catnap host doctor`."""

    name: str
    ok: bool
    found: str
    """What was tried and what came of it, as a sentence."""
    advice: str = ""
    """What to do about it; empty when nothing has to be done."""
    need: Need = "needed"
    """Whether the agent cannot work without it, or only does less."""
