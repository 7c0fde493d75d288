"""Looking whether this machine has what `catnap serve` needs, by really trying each part."""

from streamserver.doctor.examination import examine
from streamserver.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
