"""Partitions made ready: each exists and is mapped for every path of the catalogue before a document needs it.

The catalogue is widened while documents are built; here the partitions that a batch writes to are brought to the
catalogue's version by one additive request each. When a partition says otherwise (another agent won a race), its
mapping is read again and wins, and the batch must be built anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.mapping.catalogue import Catalogue
from agent.opensearch.mappings import MappingRefused
from agent.opensearch.partitions import Partitions


class PreparedPartitions:
    """Know which partition was brought to which version of the catalogue."""

    def __init__(self, catalogue: Catalogue, partitions: Partitions) -> None:
        self._catalogue = catalogue
        self._partitions = partitions
        self._brought_to: dict[str, int] = {}

    def learn(self) -> None:
        """Read every partition's mapping, so that a field means the same in all of them from the start."""
        for partition in self._partitions.listed():
            if partition.current and not partition.closed:
                self.reread(partition.name)

    def ready(self, partitions: Iterable[str]) -> bool:
        """Bring partitions to the catalogue's version; False says that the batch must be built again."""
        agreed = True
        for partition in sorted(set(partitions)):
            if partition not in self._brought_to:
                agreed = self._begin(partition) and agreed
            elif self._brought_to[partition] < self._catalogue.version:
                agreed = self._widen(partition, self._brought_to[partition]) and agreed
        return agreed

    def forget(self, partition: str | None = None) -> None:
        """Look again before the next write, because a partition (or any) turned out not to be as it was."""
        if partition is None:
            self._brought_to.clear()
        else:
            self._brought_to.pop(partition, None)

    def reread(self, partition: str) -> None:
        """Let a partition's own mapping win, after it refused a document."""
        self._catalogue.merge_mapping(self._partitions.mapping(partition) or {}, partition)

    def _begin(self, partition: str) -> bool:
        version = self._catalogue.version
        if self._is_made(partition):
            self._brought(partition, version)
            return True
        self.reread(partition)
        self._widen(partition, 0)
        # Built before this partition's mapping was known: build once more with what it says.
        return False

    def _is_made(self, partition: str) -> bool:
        """Make sure the partition exists; say whether it was born with the whole catalogue just now."""
        try:
            return self._partitions.ensure(partition, self._catalogue.properties(partition))
        except MappingRefused:
            return False

    def _widen(self, partition: str, since: int) -> bool:
        version = self._catalogue.version
        changes = self._catalogue.changes_since(since, partition)
        if not changes:
            self._brought(partition, version)
            return True
        if not self._is_put(partition, changes):
            self._yield_to(partition)
            return False
        self._brought(partition, version)
        return True

    def _yield_to(self, partition: str) -> None:
        """Take over what the partition says and add only what does not contradict it."""
        self.reread(partition)
        version = self._catalogue.version
        changes = self._catalogue.changes_since(0, partition)
        if changes and not self._is_put(partition, changes):
            # It cannot be widened at all (its own field limit, a frozen mapping): write only what it knows.
            self._catalogue.freeze(self._partitions.mapping(partition) or {}, partition)
        self._brought(partition, version)

    def _is_put(self, partition: str, properties: Mapping[str, Any]) -> bool:
        """Widen a partition, or say that it refuses to be."""
        try:
            self._partitions.put_mapping(partition, properties)
        except MappingRefused:
            return False
        return True

    def _brought(self, partition: str, version: int) -> None:
        self._brought_to[partition] = version
        self._catalogue.confirm(version)
