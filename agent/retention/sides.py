"""The two sides of retention as its run sees them, table and index: the seams; the real ones are beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from agent.retention.condition import Condition, Facts
from agent.retention.record import Record

_Ordered = TypeVar("_Ordered", int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows or documents of which one condition is the first that is true; none lies outside first_id to last_id."""

    count: int = 0
    first_id: int | None = None
    last_id: int | None = None
    oldest: str | None = None
    newest: str | None = None
    bytes: int = 0

    def plus(self, other: Group) -> Group:
        """Return both together."""
        return Group(
            count=self.count + other.count,
            first_id=_least(self.first_id, other.first_id),
            last_id=_most(self.last_id, other.last_id),
            oldest=_least(self.oldest, other.oldest),
            newest=_most(self.newest, other.newest),
            bytes=self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """All rows or documents looked at, and the group of each condition, in the order they were asked for."""

    total: int
    groups: tuple[Group, ...]

    def plus(self, other: Groups) -> Groups:
        """Return both together."""
        pairs = zip(self.groups, other.groups, strict=True)
        return Groups(total=self.total + other.total, groups=tuple(one.plus(two) for one, two in pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row that a condition is true of: its checksum, and the fields that rules may ask about."""

    id: int
    crc: int
    fields: Facts


class Rows(Protocol):
    """The table. Every call is one or few short statements; all raise TemporaryError when the server is away."""

    def now(self) -> datetime:
        """Return the server's clock, UTC."""
        ...

    def bounds(self) -> tuple[int, int] | None:
        """Return the lowest and the highest id that may be deleted, None when there is none."""
        ...

    def group(self, conditions: Sequence[Condition], first_id: int, last_id: int) -> Groups:
        """Sort the rows of a range of ids by the first condition that is true of them."""
        ...

    def candidates(self, condition: Condition, first_id: int, last_id: int, limit: int) -> list[Candidate]:
        """Return the first rows of a range of ids that the condition is true of, ascending."""
        ...

    def records(self, rules: Mapping[int, str]) -> Iterator[list[Record]]:
        """Return the whole rows of these ids that are there, in blocks, ascending, each with its rule."""
        ...

    def existing(self, ids: Sequence[int]) -> frozenset[int]:
        """Return those of the ids that are in the table."""
        ...

    def delete(self, candidates: Sequence[Candidate], condition: Condition) -> list[int]:
        """Delete, in one transaction, the rows that are unchanged and of which the condition is still true.

        Return their ids in order. When it raises, the outcome may be unknown: either all of them went or none.
        """
        ...


class Documents(Protocol):
    """The index of one instance. All raise TemporaryError when the cluster cannot do it or answers incompletely."""

    def refresh(self) -> None:
        """Make everything written so far visible to the calls below."""
        ...

    def checksums(self, ids: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return the checksums of the documents of these ids; no entry for an id without document or index."""
        ...

    def dead_letters(self, ids: Sequence[int]) -> frozenset[int]:
        """Return those of the ids that are kept as dead letters."""
        ...

    def group(self, conditions: Sequence[Condition], partition: str | None = None) -> Groups:
        """Sort documents by the (disjoint) condition that is true of them; none when there is no index."""
        ...

    def partitions(self) -> list[str]:
        """Return the names of the partitions there are; aliases that somebody removed are put back."""
        ...

    def drop(self, partition: str) -> None:
        """Delete a partition's index. Idempotent."""
        ...

    def delete(self, condition: Condition, partition: str, limit: int) -> int:
        """Delete at most so many documents of a partition that the condition is true of; return how many went.

        Documents written to meanwhile are passed over.
        """
        ...

    def ids(self) -> tuple[int, int] | None:
        """Return the lowest and the highest id, None without documents."""
        ...

    def page(self, first_id: int, last_id: int, fields: Sequence[str]) -> dict[int, Facts]:
        """Return the documents of a range of ids by id, with these fields and `created_at`."""
        ...

    def delete_ids(self, ids: Sequence[int]) -> int:
        """Delete the documents of these ids wherever they are; return how many went."""
        ...


def _least(one: _Ordered | None, two: _Ordered | None) -> _Ordered | None:
    return min((each for each in (one, two) if each is not None), default=None)


def _most(one: _Ordered | None, two: _Ordered | None) -> _Ordered | None:
    return max((each for each in (one, two) if each is not None), default=None)
