"""What was seen that keeps an instance awake, in a form people and programs read."""

from dataclasses import dataclass
from typing import Literal

EvidenceKind = Literal["flow", "gate", "lease", "unreadable", "changed", "disturbed"]
"""`unreadable`: a source could not be read, which counts as use. `changed`: the instance or its policy is not
what it was when the sleep was decided. `disturbed`: activity that came and went while it was going to sleep.
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation."""

    kind: EvidenceKind
    detail: str
    """A sentence naming the connection, the counter, the owner and reason, or what failed."""
