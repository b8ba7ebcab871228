"""What indices and aliases are called (pure).

    impulse-audit-<instance>-2026.11-000001    one concrete index of a partition; `rebuild` makes -000002
    impulse-audit-<instance>-2026.11           write alias on exactly one of them
    impulse-audit-<instance>, impulse-audit    read aliases: one instance, all of them
    impulse-agent-state, -dead-letters, -journal

Listing is by pattern and then by exact shape: `impulse-audit-shop-*` also finds the indices of an instance `shop-2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.errors import ConfigError

_PARTITION = r"\d{4}(?:\.\d\d(?:\.\d\d)?)?|undated"
_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# An instance of this shape would give its read alias the name of another instance's partition.
_YEAR = r"(?:19|20|21)\d\d"
_LIKE_A_PARTITION = re.compile(rf".*-(?:(?:{_PARTITION})-\d{{6,}}|undated|{_YEAR}|\d{{4}}\.\d\d(?:\.\d\d)?)")


@dataclass(frozen=True, slots=True, order=True)
class Concrete:
    """One index of a partition: which, and its number."""

    partition: str
    number: int


class Names:
    """Name everything that belongs to one instance. Raises ConfigError for parts that cannot be in an index name."""

    def __init__(
        self, instance: str, *, index_prefix: str = "impulse-audit", agent_prefix: str = "impulse-agent"
    ) -> None:
        for key, value in (
            ("instance", instance),
            ("opensearch.index_prefix", index_prefix),
            ("opensearch.agent_prefix", agent_prefix),
        ):
            if not _SAFE.fullmatch(value):
                raise ConfigError(f"{key} cannot be part of an index name", got=repr(value)[:80], remedy=_ALLOWED)
        if _LIKE_A_PARTITION.fullmatch(instance):
            remedy = "choose a name that does not end as a partition does"
            raise ConfigError("instance would be taken for a partition", where="instance", got=instance, remedy=remedy)
        self.instance = instance
        self.prefix = index_prefix
        self.agent_prefix = agent_prefix
        self.read_all = index_prefix
        self.read = f"{index_prefix}-{instance}"
        self.state = f"{agent_prefix}-state"
        self.dead_letters = f"{agent_prefix}-dead-letters"
        self.journal = f"{agent_prefix}-journal"
        self._shape = re.compile(rf"{re.escape(self.read)}-({_PARTITION})-(\d{{6,}})")

    def alias(self, partition: str) -> str:
        """Return the write alias of a partition."""
        return f"{self.read}-{partition}"

    def concrete(self, partition: str, number: int) -> str:
        """Return the name of a partition's n-th index."""
        return f"{self.read}-{partition}-{number:06d}"

    def pattern(self, partition: str = "") -> str:
        """Return a wildcard over the concrete indices of a partition, or of all; `parse` sorts out others'."""
        return f"{self.read}-{partition}-*" if partition else f"{self.read}-*"

    def parse(self, index: str) -> Concrete | None:
        """Return what a concrete index of this instance is, None for any other name."""
        match = self._shape.fullmatch(index)
        return Concrete(match.group(1), int(match.group(2))) if match else None


_ALLOWED = "lower-case letters, digits, -, _ and ., beginning with a letter or digit"
