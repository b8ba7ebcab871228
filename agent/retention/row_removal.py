"""The table's side of a run: expired rows in order of id, confirmed, archived, then deleted in small transactions.

    candidates ─▶ confirmed in the index? ─▶ archive, sealed ─▶ pace, replicas ─▶ lease, ledger ─▶ DELETE
                        └─ no: kept, counted, and left open to repair

A row is confirmed when the index holds a document of its checksum; or when it holds none because an earlier run
already expired the document. A dead letter is no confirmation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.errors import AgentError, TemporaryError
from agent.retention.archive import Archive
from agent.retention.condition import Condition
from agent.retention.expired import Expiry
from agent.retention.pace import Gait, ReplicaWatch
from agent.retention.policy import Policy, Side
from agent.retention.progress import Progress, rows_in_flight
from agent.retention.sides import Candidate, Documents, Rows
from agent.retention.slices import Slice, Slices

# Ids looked at, and rows held in memory, at a time; with an archive that is a file: a million rows make fifty.
BATCH_IDS = 5_000
ARCHIVE_IDS = 20_000
CONFIRM_ROWS = 5_000
WATCH_SECONDS = 1.0
_LOCK_TRIES = 5


@dataclass(slots=True)
class Unconfirmed:
    """Rows that had to stay: the oldest of each rule, which later bounds what counts as executed."""

    oldest: dict[str, str] = field(default_factory=dict)

    def add(self, rule: str, created_at: str) -> None:
        """Note one row."""
        self.oldest[rule] = min(self.oldest.get(rule, created_at), created_at)


@dataclass(frozen=True, kw_only=True)
class RowRemoval:
    """Delete the expired rows of ranges of ids, both ends included."""

    policy: Policy
    rows: Rows
    documents: Documents
    archive: Archive | None
    progress: Progress
    gait: Gait
    replicas: ReplicaWatch
    chunk_rows: int
    unconfirmed: Unconfirmed = field(default_factory=Unconfirmed)
    _sealed: dict[int, int] = field(default_factory=dict)

    def slices(self, ranges: Sequence[tuple[int, int]]) -> Slices[None]:
        """Do it for these ranges of ids; stops at the first error with everything before it done and counted."""
        undeleted = self.archive.undeleted() if self.archive else {}
        for path, sealed in undeleted.items():
            self._sealed.update(sealed)
            self.progress.tally.archives.append({"file": path.name, "rows": len(sealed), "resumed": True})
        for first_id, last_id in ranges:
            yield from self._walk(first_id, last_id)
        if self.archive:
            for path, sealed in undeleted.items():
                if not self.rows.existing(list(sealed)):
                    self.archive.settle(path)

    def _walk(self, first_id: int, last_id: int) -> Slices[None]:
        expired = self.policy.expired(Side.ROWS)
        width = ARCHIVE_IDS if self.archive else BATCH_IDS
        for start in range(first_id, last_id + 1, width):
            found = self.rows.candidates(expired, start, min(start + width - 1, last_id), width)
            yield Slice(phase="rows", reason="looked for expired rows")
            if found:
                yield from self._remove(found, expired)

    def _remove(self, found: Sequence[Candidate], expired: Condition) -> Slices[None]:
        rules: dict[int, str] = {}
        crcs: dict[int, int] = {}
        for start in range(0, len(found), CONFIRM_ROWS):
            for candidate, rule in self._confirmed(found[start : start + CONFIRM_ROWS]):
                rules[candidate.id], crcs[candidate.id] = rule, candidate.crc
            yield Slice(phase="confirm")
        path = None
        if self.archive and crcs:
            path = yield from self._archived(self.archive, rules, crcs)
        ids = sorted(crcs)
        for start in range(0, len(ids), self.chunk_rows):
            chunk = ids[start : start + self.chunk_rows]
            yield from self._delete({row_id: rules[row_id] for row_id in chunk}, crcs, expired)
        if self.archive and path and not self.rows.existing(ids):
            self.archive.settle(path)

    def _confirmed(self, found: Sequence[Candidate]) -> list[tuple[Candidate, str]]:
        """Return the rows that may go, each with its rule; count the others as kept."""
        ids = [candidate.id for candidate in found]
        stored = self.documents.checksums(ids)
        absent = [row_id for row_id in ids if row_id not in stored]
        dead = self.documents.dead_letters(absent) if absent else frozenset()
        expiry = Expiry(current=self.policy, executed=self.progress.ledger.executed)
        confirmed = []
        for candidate in found:
            decision = self.policy.decide(Side.ROWS, candidate.fields)
            if not decision.expired:
                continue
            if candidate.id in dead:
                self.progress.tally.kept_dead_letters += 1
            elif candidate.crc in stored.get(candidate.id, ()) or (
                candidate.id not in stored and expiry.refuses(candidate.fields)
            ):
                confirmed.append((candidate, decision.rule))
            else:
                self._keep(candidate.fields)
        return confirmed

    def _keep(self, fields: Mapping[str, Any]) -> None:
        self.progress.tally.kept_unconfirmed += 1
        base = self.policy.bound or self.policy
        facts = base.facts(fields)
        self.unconfirmed.add(base.rule_of(facts).name, str(facts["created_at"]))

    def _archived(self, archive: Archive, rules: dict[int, str], crcs: dict[int, int]) -> Slices[Any]:
        """Seal what is not sealed yet; rows that vanished or changed on the way are not deleted by this run."""
        fresh = {row_id: rule for row_id, rule in rules.items() if self._sealed.get(row_id) != crcs[row_id]}
        if not fresh:
            return None
        file = archive.begin(self.progress.run, min(fresh), max(fresh))
        written: set[int] = set()
        try:
            for block in self.rows.records(fresh):
                same = [record for record in block if record.crc == crcs[record.id]]
                file.write(same)
                written.update(record.id for record in same)
                yield Slice(phase="archive", done=len(written), total=len(fresh))
            manifest = file.seal({name: cutoffs.rows for name, cutoffs in self.policy.cutoffs.items()})
        except (AgentError, GeneratorExit):
            file.abandon()
            raise
        self.progress.tally.archived_rows += manifest.rows
        self.progress.tally.archives.append({"file": manifest.file, "rows": manifest.rows, "sha256": manifest.sha256})
        for row_id in set(fresh) - written:
            del rules[row_id], crcs[row_id]
            self.progress.tally.gone_meanwhile += 1
        return file.path

    def _delete(self, rules: Mapping[int, str], crcs: Mapping[int, int], expired: Condition) -> Slices[None]:
        yield from self._until_calm()
        self.progress.announce(rows_in_flight(rules))
        started = self.gait.start()
        gone = yield from self._through_locks({row_id: crcs[row_id] for row_id in rules}, expired)
        by_rule: dict[str, list[int]] = {}
        for row_id in gone:
            by_rule.setdefault(rules[row_id], []).append(row_id)
        for rule, ids in by_rule.items():
            self.progress.tally.of_rows(rule).add(len(ids), ids[0], ids[-1])
        self.progress.tally.gone_meanwhile += len(rules) - len(gone)
        self.gait.went(len(gone), started)
        yield Slice(phase="rows", done=self.progress.tally.rows_deleted, pause_seconds=self.gait.pause_seconds())

    def _through_locks(self, crcs: Mapping[int, int], expired: Condition) -> Slices[list[int]]:
        """Delete one chunk; whoever holds its rows goes first, a few times. Without the lock nothing was deleted."""
        for attempt in range(1, _LOCK_TRIES + 1):
            try:
                return self.rows.delete(crcs, expired)
            except TemporaryError as error:
                if error.kind != "lock_wait" or attempt == _LOCK_TRIES:
                    raise
                yield Slice(phase="rows", pause_seconds=WATCH_SECONDS, reason=str(error))
        return []

    def _until_calm(self) -> Slices[None]:
        while (pause := self.gait.pause_seconds()) > 0:
            yield Slice(phase="rows", done=self.progress.tally.rows_deleted, pause_seconds=pause, reason="pace")
        while True:
            should_wait, reason = self.replicas.should_wait()
            if not should_wait:
                return
            # Asked all along, for a lease nobody asks about is given away.
            self.progress.check_lease()
            yield Slice(phase="rows", pause_seconds=WATCH_SECONDS, reason=reason)


def executed_policy(policy: Policy, unconfirmed: Unconfirmed) -> Policy:
    """Return what a run really executed: no rule further than the oldest row it had to keep, which may be repaired."""
    base = policy.bound or policy
    cutoffs = dict(base.cutoffs)
    for rule, oldest in unconfirmed.oldest.items():
        known = cutoffs[rule]
        cutoffs[rule] = replace(known, rows=_earlier(known.rows, oldest), documents=_earlier(known.documents, oldest))
    return replace(base, cutoffs=cutoffs)


def _earlier(cutoff: str | None, oldest: str) -> str | None:
    return None if cutoff is None else min(cutoff, oldest)
