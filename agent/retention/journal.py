"""The journal: what was deleted or given up, by which rule, when and by whom; each entry is chained to the one before.

An entry's hash covers its content and its predecessor's hash, so no entry can be altered, taken out or put in without
breaking the chain behind it. What a chain cannot show is that its end was cut off: retention's ledger notes the last
entry of each run, and whoever notes the head's hash elsewhere has `journal --verify --head HASH` compare it.

Entries are only ever appended, at the next number; of two writers that want the same number one is refused by the
store, looks again and takes the next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.journal import Entry as StoredEntry
from agent.opensearch.journal import JournalStore
from agent.opensearch.state import Fenced

FORMAT_VERSION = 1
FIRST_HASH = "0" * 64

# Writers of one journal are an agent and perhaps a person: more lost races in a row mean something else is wrong.
_TRIES = 20


class Kind(StrEnum):
    """Name what an entry is about."""

    RETENTION = "retention"
    POLICY_CHANGED = "policy_changed"
    GAP_SKIPPED = "gap_skipped"
    ROWS_LOST = "rows_lost"
    DEAD_LETTER_DROPPED = "dead_letter_dropped"
    CHECKPOINT_REWOUND = "checkpoint_rewound"
    ORPHANS_DELETED = "orphans_deleted"
    EXPORT = "export"
    PAUSED = "paused"
    RESUMED = "resumed"


Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What checking a chain found: `broken_at` is the number of the first entry that does not fit."""

    entries: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        """Say whether every entry fits."""
        return self.broken_at is None


class Journal:
    """Append to the journal of one instance, and read it."""

    def __init__(self, store: JournalStore, *, instance: str) -> None:
        self._store = store
        self._instance = instance

    def append(self, kind: Kind, what: Mapping[str, Any], *, at: str, who: str) -> Entry:
        """Write one entry at the end of the chain and return it. TemporaryError: it may have been written or not."""
        for _ in range(_TRIES):
            last = self._store.last()
            entry = following(last.content if last else None, kind, what, at=at, who=who, instance=self._instance)
            try:
                self._store.append(StoredEntry(seq=entry["number"], at=at, kind=str(kind), content=entry))
            except Fenced:
                continue
            return entry
        raise TemporaryError("journal cannot be appended to", got=f"{_TRIES} lost races", kind="journal_contended")

    def head(self) -> int:
        """Return the number of the last entry, 0 when there is none."""
        last = self._store.last()
        return last.seq if last else 0

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Return the entries above a number, ascending."""
        return (stored.content for stored in self._store.entries(after))


def following(
    last: Entry | None, kind: Kind, what: Mapping[str, Any], *, at: str, who: str, instance: str
) -> dict[str, Any]:
    """Return the entry that comes after `last`."""
    entry: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "number": 1 if last is None else int(last["number"]) + 1,
        "instance": instance,
        "kind": str(kind),
        "at": at,
        "who": who,
        "what": dict(what),
        "previous": FIRST_HASH if last is None else str(last["hash"]),
    }
    entry["hash"] = hash_of(entry)
    return entry


def hash_of(entry: Entry) -> str:
    """Return the SHA-256 of an entry's canonical JSON: sorted keys, no blanks, everything but the hash itself."""
    content = {key: value for key, value in entry.items() if key != "hash"}
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PermanentError("journal entry is not plain JSON", got=str(error)) from error
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(instant: datetime) -> str:
    """Return an instant as entries say it: UTC, milliseconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def verify(entries: Iterable[Entry], *, head: str | None = None, noted: tuple[int, str] | None = None) -> Verdict:
    """Check a whole chain, first entry first.

    `head` is the hash its last entry must have, `noted` an entry it must hold, number and hash: known from elsewhere.
    """
    number, previous = 0, FIRST_HASH
    for entry in entries:
        reason = _fault(entry, number + 1, previous)
        if not reason and noted and noted[0] == number + 1 and noted[1] != entry["hash"]:
            reason = f"entry {number + 1} is not the one that retention noted: it was replaced"
        if reason:
            return Verdict(entries=number, head=previous, broken_at=number + 1, reason=reason)
        number, previous = number + 1, str(entry["hash"])
    if noted and noted[0] > number:
        reason = f"the end of the journal is missing: retention noted entry {noted[0]}"
        return Verdict(entries=number, head=previous, broken_at=number + 1, reason=reason)
    if head is not None and head != previous:
        reason = "the last entry is not the one that was noted: the end of the journal is missing or was replaced"
        return Verdict(entries=number, head=previous, broken_at=number + 1, reason=reason)
    return Verdict(entries=number, head=previous)


def _fault(entry: Entry, number: int, previous: str) -> str:
    if entry.get("number") != number:
        return f"entry {number} is missing: the next one is {entry.get('number')!r}"
    if entry.get("previous") != previous:
        return f"entry {number} does not follow entry {number - 1}"
    if entry.get("hash") != hash_of(entry):
        return f"entry {number} was altered"
    return ""
