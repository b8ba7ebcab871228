"""A partition rebuilt: its documents in a new index with today's mapping, put in the old one's place, none lost.

    create next ─▶ copy ─▶ copy what came meanwhile ─▶ swap aliases ─▶ seal old ─▶ copy the rest ─▶ compare ─▶ drop old

Interrupted before the swap, what was begun is thrown away and begun again; after it, what is left to do is done. The
old index goes when every document of it is in the new one with the same checksum. What a comparison finds missing or
different is shipped again from its row, so a writer beside all this loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from agent.errors import TemporaryError
from agent.mapping.catalogue import Catalogue
from agent.opensearch.partitions import Partition
from agent.opensearch.reindex import Rebuild, Unequal

_IDS_AT_ONCE = 1000
_COMPARISONS = 3
_Item = TypeVar("_Item")


class Indices(Protocol):
    """Read and widen the mapping of one index, name it exactly."""

    def mapping_of(self, index: str) -> Mapping[str, Any]:
        """Return its root properties."""
        ...

    def widen(self, index: str, properties: Mapping[str, Any]) -> None:
        """Add properties. Idempotent."""
        ...

    def delete(self, index: str, ids: Sequence[int]) -> int:
        """Delete documents of rows from this index."""
        ...

    def count(self, index: str) -> int:
        """Count its documents."""
        ...

    def ids_since_created(self, index: str) -> list[int]:
        """Return the ids of all documents that were indexed, there or elsewhere, since the index was created."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What became of one partition. `reshipped` came from the table, `resumed` says a run before had swapped."""

    partition: str
    index: str
    replaced: str
    documents: int
    reshipped: int
    resumed: bool


@dataclass(kw_only=True)
class PartitionRebuild:
    """Rebuild one partition.

    `catalogue` is of this run alone and holds what the new index is to map; `ship` ships the rows of ids through the
    write alias and returns the ids that have a row, which `with_row` only asks; `sleep` may raise to interrupt.
    """

    blocks: Rebuild
    indices: Indices
    catalogue: Catalogue
    ship: Callable[[Sequence[int]], set[int]]
    with_row: Callable[[Sequence[int]], set[int]]
    sleep: Callable[[float], None]
    progress: Callable[[int, int], None]

    def run(self, partition: str) -> Rebuilt:
        """Rebuild, finishing or beginning again what was interrupted. Raises TemporaryError: repeat it."""
        old, beside = self.blocks.indices(partition)
        resumed = False
        while beside is not None:
            if beside.number < old.number:
                # Swapped already: everything the alias answered with is in the new index or still to be copied.
                resumed = True
                reshipped = self._finish(partition, beside.index, old.index, resumed=True)
                if _covers(self.indices.mapping_of(old.index), self.catalogue.properties()):
                    return self._rebuilt(partition, beside.index, old.index, reshipped, resumed=True)
            else:
                self.blocks.drop(beside.index)
            old, beside = self.blocks.indices(partition)
        return self._from_start(partition, old, resumed=resumed)

    def _from_start(self, partition: str, old: Partition, *, resumed: bool) -> Rebuilt:
        new = self.blocks.create_next(partition, old, self.catalogue.properties())
        for _ in range(2):
            # Twice: the second pass is short, and what it leaves is what readers miss for a moment after the swap.
            self.blocks.copy(old.index, new, sleep=self.sleep, progress=self.progress)
        reshipped = self._finish(partition, old.index, new, resumed=False)
        return self._rebuilt(partition, old.index, new, reshipped, resumed=resumed)

    def _finish(self, partition: str, old: str, new: str, *, resumed: bool) -> int:
        """Swap, take in what came to the old index until then, compare, and drop it; return how many were shipped."""
        lacked_paths = self._widen(old, new)
        self.blocks.swap(partition, old, new)
        self.blocks.seal(old)
        self.blocks.copy(old, new, sleep=self.sleep, progress=self.progress)
        reshipped = 0
        if self._widen(old, new) or lacked_paths or resumed:
            # A path that was mapped in the old index only: documents that came to the new one before it was mapped
            # there too are not found by it until they are indexed again. A run that was cut off may have left such.
            reshipped += sum(len(self.ship(part)) for part in _parts(self.indices.ids_since_created(new)))
        reshipped += self._compare(old, new)
        self.blocks.drop(old)
        return reshipped

    def _widen(self, old: str, new: str) -> bool:
        """Give the new index the paths that writers have added to the old one since; say whether there were any."""
        version = self.catalogue.version
        self.catalogue.merge_mapping(self.indices.mapping_of(old), "")
        # The new index takes today's types, also where the old one has others.
        self.catalogue.merge_mapping({}, "")
        properties = self.catalogue.changes_since(version)
        if properties:
            self.indices.widen(new, properties)
        return bool(properties)

    def _compare(self, old: str, new: str) -> int:
        """Make every document of the old index be in the new one; raises TemporaryError when that cannot be done."""
        reshipped = 0
        for _ in range(_COMPARISONS):
            self.blocks.refresh(new)
            shipped, unsettled = self._settle(old, new)
            reshipped += shipped
            if not unsettled:
                return reshipped
            # Rows that are gone have their document in the old index only: nothing but a copy brings it over.
            self.blocks.copy(old, new, sleep=self.sleep, progress=self.progress)
        got = f"documents of {unsettled} rows that are gone from the table"
        remedy = "repeat the rebuild; the old index is kept until then"
        raise TemporaryError("the rebuilt index lacks documents", where=new, got=got, remedy=remedy, kind="partial")

    def _settle(self, old: str, new: str) -> tuple[int, int]:
        shipped = unsettled = 0
        for part in _parts(self.blocks.unequal(old, new)):
            ids = {each: int(each.key.rpartition(":")[2]) for each in part if each.key.rpartition(":")[2].isdigit()}
            behind = [row_id for each, row_id in ids.items() if each.old_crc is not None]
            there = self.ship(behind) if behind else set()
            shipped += len(there)
            unsettled += sum(each.new_crc is None and row_id not in there for each, row_id in ids.items())
            self._take_back(new, [each for each in part if each.old_crc is None], ids)
        return shipped, unsettled

    def _take_back(self, new: str, only_new: Sequence[Unequal], ids: Mapping[Unequal, int]) -> None:
        """Delete from the new index what was deleted from the old one after it had been copied.

        What has a row is none of that: it arrived after the swap.
        """
        fresh = [ids[each] for each in only_new if each in ids]
        gone = sorted(set(fresh) - self.with_row(fresh)) if fresh else []
        if gone:
            self.indices.delete(new, gone)

    def _rebuilt(self, partition: str, old: str, new: str, reshipped: int, *, resumed: bool) -> Rebuilt:
        return Rebuilt(
            partition=partition,
            index=new,
            replaced=old,
            documents=self.indices.count(new),
            reshipped=reshipped,
            resumed=resumed,
        )


def _covers(mapping: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a mapping has every property that is wanted, with the same type."""
    for name, each in wanted.items():
        found = mapping.get(name)
        if found is None or found.get("type", "object") != each.get("type", "object"):
            return False
        inner = (found.get("properties", {}), each.get("properties", {}))
        fields = (found.get("fields", {}), each.get("fields", {}))
        if not _covers(*inner) or not _covers(*fields):
            return False
    return True


def _parts(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    source = iter(items)
    while part := list(islice(source, _IDS_AT_ONCE)):
        yield part
