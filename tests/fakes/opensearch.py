"""The cluster in memory: partitions, bulk requests, state, dead letters and journal, with outcomes to be scripted.

Each fake keeps the contract of its seam and passes the same suite as the real store (tests/contract). Faults are
data: `cluster.script` is asked before every effect and may raise, and per item it may answer with an outcome.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agent.errors import TemporaryError
from agent.opensearch.bulk import Outcome, Verdict
from agent.opensearch.dead_letters import DeadLetter, KeptLetter
from agent.opensearch.journal import Entry
from agent.opensearch.names import Names
from agent.opensearch.partitions import Partition
from agent.opensearch.state import Fenced, Kept, Token


def no_fault(effect: str) -> None:
    """Let every effect happen."""


@dataclass
class FakeCluster:
    """What survives the agent. `fault(effect)` is called before each effect and may raise.

    Effects: `bulk`, `bulk answered`, `state read`, `state write`, `state written`, `dead letters`,
    `dead letters kept`, `journal`, `journaled`, `ensure`, `put mapping`.
    `judge(key, document)` may return an Outcome for an item instead of taking it; a delete has an empty document.
    """

    fault: Callable[[str], None] = no_fault
    judge: Callable[[str, dict[str, Any]], Outcome | None] = lambda _key, _document: None
    partitions: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    mappings: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    requests: list[int] = field(default_factory=list)
    states: dict[str, tuple[dict[str, Any], Token]] = field(default_factory=dict)
    letters: dict[str, dict[int, KeptLetter]] = field(default_factory=dict)
    journals: dict[str, dict[int, Entry]] = field(default_factory=dict)
    seq_no: int = 0

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return every document by `_id`; one that is in two partitions is a broken promise."""
        found: dict[str, dict[str, Any]] = {}
        for documents in self.partitions.values():
            doubled = found.keys() & documents.keys()
            assert not doubled, f"in two partitions: {sorted(doubled)[:5]}"
            found.update(documents)
        return found


class FakeBulk:
    """Take bulk bodies by `_id` into the partition whose write alias an action names; none is ever created."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def send(self, body: bytes, keys: Sequence[str]) -> Mapping[int, Outcome]:
        """See `Bulk`."""
        self._cluster.fault("bulk")
        lines = body.split(b"\n")
        assert lines.pop() == b"", "a bulk body ends in a newline"
        found: dict[int, Outcome] = {}
        asked: list[str] = []
        following = iter(lines)
        for position, line in enumerate(following):
            action = orjson.loads(line)
            asked += [target["_id"] for target in action.values()]
            outcome = self._delete(action) if "delete" in action else self._take(action, orjson.loads(next(following)))
            if outcome is not None:
                found[position] = outcome
        assert asked == list(keys), f"{len(asked)} actions, not {len(keys)}, or about others"
        self._cluster.requests.append(len(keys))
        self._cluster.fault("bulk answered")
        return found

    def _delete(self, action: dict[str, Any]) -> Outcome | None:
        target = action["delete"]
        outcome = self._cluster.judge(target["_id"], {})
        if outcome is None:
            self._cluster.partitions[target["_index"]].pop(target["_id"], None)
        return outcome

    def _take(self, action: dict[str, Any], document: dict[str, Any]) -> Outcome | None:
        ((verb, target),) = action.items()
        assert verb == "index", action
        key, alias = target["_id"], target["_index"]
        outcome = self._cluster.judge(key, document)
        if outcome is not None:
            return outcome
        if alias not in self._cluster.partitions:
            return Outcome(Verdict.DEFERRED, "missing_alias", f"no such index [{alias}]")
        self._cluster.partitions[alias][key] = document
        self._cluster.writes[key] += 1
        return None


class FakePartitions:
    """See `Partitions`; write aliases are `impulse-audit-<instance>-<partition>`."""

    def __init__(self, cluster: FakeCluster, instance: str, prefix: str = "impulse-audit") -> None:
        self._cluster = cluster
        self._names = Names(instance, index_prefix=prefix)
        self._stem = f"{prefix}-{instance}-"

    def ensure(self, partition: str, properties: Mapping[str, Any]) -> bool:
        """See `Partitions`."""
        self._cluster.fault("ensure")
        created = self._stem + partition not in self._cluster.partitions
        self._cluster.partitions.setdefault(self._stem + partition, {})
        self._cluster.mappings.setdefault(self._stem + partition, {})
        _merge(self._cluster.mappings[self._stem + partition], properties)
        return created

    def put_mapping(self, partition: str, properties: Mapping[str, Any]) -> None:
        """See `Partitions`."""
        self._cluster.fault("put mapping")
        if self._stem + partition not in self._cluster.mappings:
            raise TemporaryError("an index is missing", where=partition, kind="missing_index")
        _merge(self._cluster.mappings[self._stem + partition], properties)

    def mapping(self, partition: str) -> dict[str, Any] | None:
        """See `Partitions`."""
        return copy.deepcopy(self._cluster.mappings.get(self._stem + partition))

    def listed(self) -> list[Partition]:
        """See `Partitions`."""
        shapes = [self._names.parse(f"{alias}-000001") for alias in sorted(self._cluster.partitions)]
        names = [shape.partition for shape in shapes if shape]
        return [
            Partition(
                name=name,
                index=f"{self._stem}{name}-000001",
                number=1,
                current=True,
                closed=False,
                aliases=frozenset({self._stem + name}),
            )
            for name in names
        ]

    def drop(self, partition: str) -> list[str]:
        """See `Partitions`."""
        self._cluster.mappings.pop(self._stem + partition, None)
        gone = self._cluster.partitions.pop(self._stem + partition, None)
        return [] if gone is None else [f"{self._stem}{partition}-000001"]


class FakeState:
    """See `StateStore`."""

    def __init__(self, cluster: FakeCluster, instance: str) -> None:
        self._cluster = cluster
        self._instance = instance

    def read(self) -> Kept | None:
        """See `StateStore`."""
        self._cluster.fault("state read")
        found = self._cluster.states.get(self._instance)
        return None if found is None else Kept(copy.deepcopy(found[0]), found[1])

    def write(self, document: dict[str, Any], token: Token | None) -> Token:
        """See `StateStore`."""
        self._cluster.fault("state write")
        found = self._cluster.states.get(self._instance)
        plain = orjson.loads(orjson.dumps(document))
        if (found[1] if found else None) != token:
            if found and found[0] == plain:
                return found[1]
            raise Fenced("another agent writes the state of this instance", where=self._instance)
        self._cluster.seq_no += 1
        next_token = Token(self._cluster.seq_no, 1)
        self._cluster.states[self._instance] = (plain, next_token)
        self._cluster.fault("state written")
        return next_token


class FakeDeadLetters:
    """See `DeadLetters`."""

    def __init__(self, cluster: FakeCluster, instance: str) -> None:
        self._cluster = cluster
        self._kept = cluster.letters.setdefault(instance, {})

    def put(self, letters: Sequence[DeadLetter], at: str) -> None:
        """See `DeadLetters`."""
        self._cluster.fault("dead letters")
        for letter in {letter.id: letter for letter in letters}.values():
            before = self._kept.get(letter.id)
            self._kept[letter.id] = KeptLetter(
                letter=letter,
                attempts=before.attempts + 1 if before else 1,
                first_at=before.first_at if before else at,
                last_at=at,
            )
        self._cluster.fault("dead letters kept")

    def listed(self, *, limit: int = 100, after: int = 0) -> list[KeptLetter]:
        """See `DeadLetters`."""
        return [self._kept[row_id] for row_id in sorted(self._kept) if row_id > after][:limit]

    def get(self, row_id: int) -> KeptLetter | None:
        """See `DeadLetters`."""
        return self._kept.get(row_id)

    def drop(self, row_ids: Iterable[int]) -> int:
        """See `DeadLetters`."""
        return sum(self._kept.pop(row_id, None) is not None for row_id in set(row_ids))

    def count(self) -> int:
        """See `DeadLetters`."""
        return len(self._kept)

    def ids_between(self, lo: int, hi: int) -> set[int]:
        """See `DeadLetters`."""
        return {row_id for row_id in self._kept if lo <= row_id <= hi}

    def highest_id(self) -> int | None:
        """See `DeadLetters`."""
        return max(self._kept, default=None)


class FakeJournal:
    """See `JournalStore`."""

    def __init__(self, cluster: FakeCluster, instance: str) -> None:
        self._cluster = cluster
        self._entries = cluster.journals.setdefault(instance, {})

    def last(self) -> Entry | None:
        """See `JournalStore`."""
        return self._entries[max(self._entries)] if self._entries else None

    def append(self, entry: Entry) -> None:
        """See `JournalStore`."""
        self._cluster.fault("journal")
        plain = Entry(seq=entry.seq, at=entry.at, kind=entry.kind, content=json.loads(json.dumps(entry.content)))
        if self._entries.setdefault(entry.seq, plain) != plain:
            raise Fenced("another process writes the journal", got=f"entry {entry.seq} exists already")
        self._cluster.fault("journaled")

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """See `JournalStore`."""
        return (self._entries[seq] for seq in sorted(self._entries) if seq > after)


def _merge(into: dict[str, Any], properties: Mapping[str, Any]) -> None:
    """Add properties as PUT _mapping does, without its refusals."""
    for key, value in properties.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
