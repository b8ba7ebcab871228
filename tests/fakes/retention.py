"""A table, an index, a ledger and a journal in memory, which can fail or die before and after each of their effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.mapping.partition import Calendar, partition_of
from agent.opensearch.journal import Entry
from agent.opensearch.state import Fenced, Kept, Token
from agent.retention.condition import Condition, Facts, holds
from agent.retention.record import Record
from agent.retention.sides import Candidate, Group, Groups


class Crash(BaseException):
    """The process is gone: nothing in it may run any further."""


def no_effect(name: str) -> None:
    """Let an effect pass."""


class CrashAt:
    """Die at the n-th effect; later effects, of a new process, pass."""

    def __init__(self, number: int | None = None) -> None:
        self.number = number
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if self.number is not None and len(self.names) == self.number:
            raise Crash(name)


@dataclass
class FakeTable:
    """Rows by id: fields and checksum."""

    clock: datetime
    effect: Callable[[str], None] = no_effect
    content: dict[int, dict[str, Any]] = field(default_factory=dict)
    crcs: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    is_held: Callable[[int], bool] = lambda _: False

    def add(self, row_id: int, **fields: Any) -> None:
        self.content[row_id] = {"id": row_id, **fields}
        self.crcs[row_id] = row_id * 7919

    def now(self) -> datetime:
        return self.clock

    def bounds(self) -> tuple[int, int] | None:
        return (min(self.content), max(self.content)) if self.content else None

    def group(self, conditions: Sequence[Condition], first_id: int, last_id: int) -> Groups:
        chosen = [row for row_id, row in self.content.items() if first_id <= row_id <= last_id]
        return _groups(conditions, [self._facts(row) for row in chosen], first_id, last_id)

    def candidates(self, condition: Condition, first_id: int, last_id: int, limit: int) -> list[Candidate]:
        found = [
            Candidate(id=row_id, crc=self.crcs[row_id], fields=row)
            for row_id, row in sorted(self.content.items())
            if first_id <= row_id <= last_id and holds(condition, self._facts(row))
        ]
        return found[:limit]

    def records(self, rules: Mapping[int, str]) -> Iterator[list[Record]]:
        ids = sorted(row_id for row_id in rules if row_id in self.content)
        for start in range(0, len(ids), 3):
            yield [
                Record(fields=dict(self.content[row_id]), crc=self.crcs[row_id], rule=rules[row_id])
                for row_id in ids[start : start + 3]
            ]

    def existing(self, ids: Sequence[int]) -> frozenset[int]:
        return frozenset(ids) & frozenset(self.content)

    def delete(self, candidates: Sequence[Candidate], condition: Condition) -> list[int]:
        self.effect("delete rows")
        gone = [
            each.id
            for each in sorted(candidates, key=lambda each: each.id)
            if each.id in self.content
            and self.crcs[each.id] == each.crc
            and not self.is_held(each.id)
            and holds(condition, self._facts(self.content[each.id]))
        ]
        for row_id in gone:
            del self.content[row_id]
        self.deleted += gone
        self.effect("rows deleted")
        return gone

    def _facts(self, row: Facts) -> Facts:
        return {**row, "created_at": Calendar().place(row.get("created_at"))[1]}


@dataclass
class FakeIndex:
    """Documents by partition and id: checksum and facts."""

    effect: Callable[[str], None] = no_effect
    content: dict[str, dict[int, tuple[int, Facts]]] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    unseen: dict[int, int] = field(default_factory=dict)

    def add(self, row: Facts, crc: int) -> None:
        created_at = row.get("created_at")
        facts = {**row, "created_at": Calendar().place(created_at)[1]}
        self.content.setdefault(partition_of(created_at), {})[row["id"]] = (crc, facts)

    def ship(self, table: FakeTable, but: Sequence[int] = ()) -> None:
        for row_id, row in table.content.items():
            if row_id not in but:
                self.add(row, table.crcs[row_id])

    @property
    def all_ids(self) -> set[int]:
        return {row_id for documents in self.content.values() for row_id in documents}

    def refresh(self) -> None:
        """Make deletions by id visible: a search does not see them before."""
        self.unseen.clear()

    def checksums(self, ids: Sequence[int]) -> dict[int, frozenset[int]]:
        self.effect("ask the index")
        found = {
            row_id: frozenset({documents[row_id][0]})
            for documents in self.content.values()
            for row_id in ids
            if row_id in documents
        }
        return {row_id: frozenset({self.unseen[row_id]}) for row_id in ids if row_id in self.unseen} | found

    def dead_letters(self, ids: Sequence[int]) -> frozenset[int]:
        return frozenset(self.dead & set(ids))

    def group(self, conditions: Sequence[Condition], partition: str | None = None) -> Groups:
        chosen = self.content.values() if partition is None else [self.content.get(partition, {})]
        facts = [facts for documents in chosen for _, facts in documents.values()]
        groups = [_groups([condition], facts, 0, 0).groups[0] for condition in conditions]
        return Groups(total=len(facts), groups=tuple(groups))

    def partitions(self) -> list[str]:
        return sorted(self.content)

    def drop(self, partition: str) -> None:
        self.effect("drop a partition")
        self.content.pop(partition, None)
        self.effect("partition dropped")

    def delete(self, condition: Condition, partition: str, limit: int) -> int:
        self.effect("delete documents")
        documents = self.content[partition]
        gone = [row_id for row_id, (_, facts) in documents.items() if holds(condition, facts)][: min(limit, 2)]
        for row_id in gone:
            del documents[row_id]
        self.effect("documents deleted")
        return len(gone)

    def ids(self) -> tuple[int, int] | None:
        return (min(self.all_ids), max(self.all_ids)) if self.all_ids else None

    def page(self, first_id: int, last_id: int, fields: Sequence[str]) -> dict[int, Facts]:
        return {
            row_id: facts
            for documents in self.content.values()
            for row_id, (_, facts) in documents.items()
            if first_id <= row_id <= last_id
        }

    def delete_ids(self, ids: Sequence[int]) -> int:
        self.effect("delete orphans")
        gone = set(ids) & self.all_ids
        for documents in self.content.values():
            for row_id in gone & set(documents):
                self.unseen[row_id] = documents.pop(row_id)[0]
        self.effect("orphans deleted")
        return len(gone)


@dataclass
class FakeState:
    """One document, written by compare-and-set."""

    effect: Callable[[str], None] = no_effect
    document: dict[str, Any] | None = None
    version: int = 0

    def read(self) -> Kept | None:
        return None if self.document is None else Kept(self.document, Token(self.version, 1))

    def write(self, document: dict[str, Any], token: Token | None) -> Token:
        self.effect("write the ledger")
        if (token.seq_no if token else 0) != self.version:
            raise Fenced("another agent writes")
        self.document, self.version = document, self.version + 1
        self.effect("ledger written")
        return Token(self.version, 1)


@dataclass
class FakeJournal:
    """Numbered entries."""

    effect: Callable[[str], None] = no_effect
    content: list[Entry] = field(default_factory=list)
    rivals: list[Entry] = field(default_factory=list)

    def last(self) -> Entry | None:
        return self.content[-1] if self.content else None

    def append(self, entry: Entry) -> None:
        self.effect("append to the journal")
        if self.rivals:
            self.content.append(self.rivals.pop(0))
        if entry.seq <= len(self.content):
            raise Fenced("another process writes the journal")
        self.content.append(entry)
        self.effect("journal appended to")

    def entries(self, after: int = 0) -> Iterator[Entry]:
        return iter(self.content[after:])


def _groups(conditions: Sequence[Condition], facts: Sequence[Facts], first_id: int, last_id: int) -> Groups:
    counts = [0] * len(conditions)
    dates: list[list[str]] = [[] for _ in conditions]
    for each in facts:
        for position, condition in enumerate(conditions):
            if holds(condition, each):
                counts[position] += 1
                dates[position] += [each["created_at"]] if each["created_at"] else []
                break
    return Groups(
        total=len(facts),
        groups=tuple(
            Group(
                count=count,
                first_id=first_id if count else None,
                last_id=last_id if count else None,
                oldest=min(seen, default=None),
                newest=max(seen, default=None),
            )
            for count, seen in zip(counts, dates, strict=True)
        ),
    )
