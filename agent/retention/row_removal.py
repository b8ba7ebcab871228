"""The table's side of a run: expired rows in order of id, confirmed, archived, then deleted in small transactions.

    candidates ─▶ confirmed in the index? ─▶ archive, sealed ─▶ pace, replicas ─▶ lease, ledger ─▶ DELETE
                        └─ no: kept, counted, and left open to repair

A row is confirmed when the index holds a document of its checksum; or when it holds none because an earlier run
already expired the document. A dead letter is no confirmation.

Rows that somebody else holds or changes meanwhile are tried again at the end; their documents stay as long as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import AgentError, TemporaryError
from agent.retention.archive import Archive
from agent.retention.condition import Facts
from agent.retention.expired import Expiry
from agent.retention.kept import Kept
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
# A replica that was not near enough for so long ends the run, which says why; the next one goes on.
PATIENCE_SECONDS = 60
_LOCK_TRIES = 5
# Some three milliseconds of work: inserts beside it wait a third less, at their slowest, than beside a thousand rows.
TRANSACTION_ROWS = 100
# More rows than this are not tried again in the same run.
_MOST_IN_USE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A row that may go, and the rule it goes by."""

    row: Candidate
    rule: str


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
    unconfirmed: Kept = field(default_factory=Kept)
    in_use: Kept = field(default_factory=Kept)
    _to_retry: dict[int, Confirmed] = field(default_factory=dict)
    _sealed: dict[int, int] = field(default_factory=dict)
    _files: dict[Path, list[int]] = field(default_factory=dict)

    def slices(self, ranges: Sequence[tuple[int, int]]) -> Slices[None]:
        """Do it for these ranges of ids; stops at the first error with everything before it done and counted."""
        for path, sealed in (self.archive.undeleted() if self.archive else {}).items():
            self._sealed.update(sealed)
            self._files[path] = list(sealed)
            self.progress.tally.archives.append({"file": path.name, "rows": len(sealed), "resumed": True})
        for first_id, last_id in ranges:
            yield from self._walk(first_id, last_id)
        yield from self._retry()
        self._settle_files()

    def _walk(self, first_id: int, last_id: int) -> Slices[None]:
        expired = self.policy.expired(Side.ROWS)
        width = ARCHIVE_IDS if self.archive else BATCH_IDS
        for start in range(first_id, last_id + 1, width):
            found = self.rows.candidates(expired, start, min(start + width - 1, last_id), width)
            yield Slice(phase="rows")
            if found:
                yield from self._remove(found)

    def _remove(self, found: Sequence[Candidate]) -> Slices[None]:
        going: dict[int, Confirmed] = {}
        for start in range(0, len(found), CONFIRM_ROWS):
            going.update((each.row.id, each) for each in self._confirmed(found[start : start + CONFIRM_ROWS]))
            yield Slice(phase="confirm")
        if self.archive:
            yield from self._archived(self.archive, going)
        yield from self._delete(going)
        self._settle_files()

    def _retry(self) -> Slices[None]:
        """Try rows again that others held; whoever keeps holding one, or has changed it, keeps its document too."""
        for _ in range(_LOCK_TRIES):
            if not self._to_retry:
                return
            there = self.rows.existing(sorted(self._to_retry))
            self.progress.tally.gone_meanwhile += len(self._to_retry) - len(there)
            going = {row_id: self._to_retry[row_id] for row_id in there}
            self._to_retry.clear()
            if going:
                reason = f"{len(going)} rows are held or were changed by others"
                yield Slice(phase="rows", pause_seconds=WATCH_SECONDS, reason=reason)
                yield from self._delete(going)
        self._leave(list(self._to_retry.values()))

    def _settle_files(self) -> None:
        for path, ids in list(self._files.items()):
            if self.archive and not self.rows.existing(ids):
                self.archive.settle(path)
                del self._files[path]

    def _confirmed(self, found: Sequence[Candidate]) -> list[Confirmed]:
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
                confirmed.append(Confirmed(row=candidate, rule=decision.rule))
            else:
                self.progress.tally.kept_unconfirmed += 1
                self._keep(candidate.fields, self.unconfirmed)
        return confirmed

    def _keep(self, fields: Facts, kept: Kept) -> None:
        base = self.policy.bound or self.policy
        facts = base.facts(fields)
        kept.add(base.rule_of(facts).name, str(facts["created_at"]))

    def _archived(self, archive: Archive, going: dict[int, Confirmed]) -> Slices[None]:
        """Seal what is not sealed yet; rows that vanished or changed on the way are not deleted by this run."""
        fresh = {row_id: each.rule for row_id, each in going.items() if self._sealed.get(row_id) != each.row.crc}
        if not fresh:
            return
        file = archive.begin(self.progress.run, min(fresh), max(fresh))
        written: set[int] = set()
        try:
            for block in self.rows.records(fresh):
                same = [record for record in block if record.crc == going[record.id].row.crc]
                file.write(same)
                written.update(record.id for record in same)
                yield Slice(phase="archive", done=len(written), total=len(fresh))
            manifest = file.seal({name: cutoffs.rows for name, cutoffs in self.policy.cutoffs.items()})
        except (AgentError, GeneratorExit):
            file.abandon()
            raise
        self._files[file.path] = sorted(written)
        self.progress.tally.archived_rows += manifest.rows
        self.progress.tally.archives.append({"file": manifest.file, "rows": manifest.rows, "sha256": manifest.sha256})
        self._leave([going.pop(row_id) for row_id in sorted(set(fresh) - written)])

    def _delete(self, going: Mapping[int, Confirmed]) -> Slices[None]:
        ids = sorted(going)
        for start in range(0, len(ids), self.chunk_rows):
            chunk = {row_id: going[row_id] for row_id in ids[start : start + self.chunk_rows]}
            yield from self._until_calm()
            self.progress.announce(rows_in_flight({row_id: each.rule for row_id, each in chunk.items()}))
            yield from self._delete_chunk(chunk)

    def _delete_chunk(self, chunk: Mapping[int, Confirmed]) -> Slices[None]:
        """Delete what was announced in transactions so short that whoever inserts beside them does not notice."""
        ids = list(chunk)
        asked = self.gait.start()  # about the lease, for the chunk
        for start in range(0, len(ids), TRANSACTION_ROWS):
            piece = {row_id: chunk[row_id] for row_id in ids[start : start + TRANSACTION_ROWS]}
            yield from self._paced()
            started = self.gait.start()
            if started - asked >= WATCH_SECONDS:
                self.progress.check_lease()
                asked = started
            gone = yield from self._through_locks([each.row for each in piece.values()])
            self.gait.went(len(gone), started)
            self._count(piece, gone)
        # The pause comes before the next chunk: what that needs to be read and confirmed is done meanwhile.
        yield Slice(phase="rows", done=self.progress.tally.rows_deleted)

    def _count(self, chunk: Mapping[int, Confirmed], gone: Sequence[int]) -> None:
        by_rule: dict[str, list[int]] = {}
        for row_id in gone:
            by_rule.setdefault(chunk[row_id].rule, []).append(row_id)
        for rule, ids in by_rule.items():
            self.progress.tally.of_rows(rule).add(len(ids), ids[0], ids[-1])
        left = [chunk[row_id] for row_id in sorted(set(chunk) - set(gone))]
        if len(self._to_retry) + len(left) <= _MOST_IN_USE:
            self._to_retry.update((each.row.id, each) for each in left)
        else:
            self._leave(left)

    def _leave(self, left: Sequence[Confirmed]) -> None:
        """Note rows that were not deleted: some are gone by somebody else's hand, the others keep their documents."""
        there = self.rows.existing([each.row.id for each in left]) if left else frozenset()
        for each in left:
            if each.row.id in there:
                self._keep(each.row.fields, self.in_use)
        self.progress.tally.kept_in_use += len(there)
        self.progress.tally.gone_meanwhile += len(left) - len(there)

    def _through_locks(self, piece: Sequence[Candidate]) -> Slices[list[int]]:
        """Delete one piece; whoever holds its rows goes first, a few times. Without the lock nothing was deleted."""
        expired = self.policy.expired(Side.ROWS)
        for attempt in range(1, _LOCK_TRIES + 1):
            try:
                return self.rows.delete(piece, expired)
            except TemporaryError as error:
                if error.kind != "lock_wait" or attempt == _LOCK_TRIES:
                    raise
                yield Slice(phase="rows", pause_seconds=WATCH_SECONDS, reason=str(error))
        return []

    def _paced(self) -> Slices[None]:
        while (pause := self.gait.pause_seconds()) > 0:
            yield Slice(phase="rows", done=self.progress.tally.rows_deleted, pause_seconds=pause)

    def _until_calm(self) -> Slices[None]:
        yield from self._paced()
        waited = 0.0
        while True:
            should_wait, reason = self.replicas.should_wait()
            if not should_wait:
                return
            if waited >= PATIENCE_SECONDS:
                remedy = "see to the replica, or take it out of pace.replicas"
                raise TemporaryError("a replica does not keep up", got=reason, remedy=remedy, kind="replica_lag")
            # Asked all along, for a lease nobody asks about is given away.
            self.progress.check_lease()
            yield Slice(phase="rows", pause_seconds=WATCH_SECONDS, reason=reason)
            waited += WATCH_SECONDS
