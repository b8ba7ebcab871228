"""The exceptions: the paths one partition holds otherwise than the catalogue does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Exceptions:
    """Say what must not be sent to one partition.

    `blocked`: an object here and a leaf there, so values go to the overflow. `withheld`: another type of leaf, so
    values go in as they are and only the mapping stays. `only`: the partition takes no new path at all.
    """

    blocked: set[Path] = field(default_factory=set)
    withheld: set[Path] = field(default_factory=set)
    only: frozenset[Path] | None = None

    @property
    def blocks(self) -> bool:
        """Return whether any document of this partition has to be routed differently."""
        return bool(self.blocked) or self.only is not None

    def refuses(self, path: Path) -> bool:
        """Return whether a value at this path must go to the overflow."""
        return path in self.blocked or (self.only is not None and path not in self.only)

    def withholds(self, path: Path) -> bool:
        """Return whether the mapping of this path, or of one above it, must not be sent."""
        if self.only is not None or path in self.withheld:
            return True
        return bool(self.blocked) and any(path[:depth] in self.blocked for depth in range(2, len(path) + 1))
