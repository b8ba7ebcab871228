"""One retention run, in slices: what is expired at fixed cutoffs goes from both sides, archived, counted, journaled.

    settle an interrupted run ─▶ plan ─▶ brakes ─▶ rows ─▶ executed cutoffs ─▶ documents ─▶ (mirror) ─▶ proof ─▶ journal

The order of effects is what survives a crash: a row goes when its document is confirmed and its archive sealed; the
executed cutoffs are recorded before the first document goes, so that nobody indexes it again; the journal is written
before the run is closed. Whatever is cut off in between, the next run counts, journals and finishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Protocol

from agent.errors import PermanentError, TemporaryError
from agent.retention.archive import Archive
from agent.retention.brakes import Limits
from agent.retention.condition import MATCH_FIELDS
from agent.retention.document_removal import DocumentRemoval
from agent.retention.journal import Journal, Kind, stamp
from agent.retention.kept import executed_policy, narrowed
from agent.retention.ledger import Ledger, LedgerStore, RunRecord, Tally
from agent.retention.mirror import Mirror
from agent.retention.pace import Gait, ReplicaWatch
from agent.retention.plan import PLAN_IDS, Plan, plan
from agent.retention.policy import Policy, Side, fixed
from agent.retention.progress import Progress, settle
from agent.retention.report import Left, Report, told
from agent.retention.row_removal import RowRemoval
from agent.retention.rules import RuleSet
from agent.retention.shortening import Wait, seen, wait_of
from agent.retention.sides import Documents, Rows
from agent.retention.slices import Slice, Slices

# After these errors the outcome of every deletion is known, so the run can be counted and journaled at once.
_NOTHING_IN_FLIGHT = frozenset({"archive", "lock_wait", "conflict", "replica_lag"})


class BrakeRefused(PermanentError):  # noqa: N818  named for what happened, as the errors of this house are
    """Say that the plan is too large to be meant; a person may release the brake."""

    def __init__(self, planned: Plan) -> None:
        super().__init__(
            "a brake refused the plan",
            got="; ".join(planned.brakes),
            remedy="look at the plan, then run `audit-agent retain --execute --release-brake`",
        )
        self.plan = planned


class Brakes(Limits, Protocol):
    """The limits, and whether a shortened policy waits."""

    @property
    def shorten_wait(self) -> str:
        """Return `next_run` or `none`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Everything a run works with. `rules` are given at each call, for they may change while a daemon lives."""

    rows: Rows
    documents: Documents
    ledger: LedgerStore
    journal: Journal
    lease_held: Callable[[], bool]
    gait: Gait
    replicas: ReplicaWatch
    chunk_rows: int
    brakes: Brakes
    archive: Archive | None = None
    mirror: bool = False
    zone: tzinfo = UTC

    def preview(self, rules: RuleSet, *, watermark: int) -> Slices[Plan]:
        """Plan only: touches nothing, writes nothing."""
        now = self.rows.now()
        ledger = self.ledger.read()
        wait = self._wait(ledger, rules, now, by_person=False, is_released=False)
        return (yield from self._plan(rules, now, wait, ledger, watermark))

    def announce(self, rules: RuleSet, *, watermark: int, who: str) -> Slices[Plan | None]:
        """Take note of changed rules; if they shorten, journal what they newly expire, from when on they wait."""
        now = self.rows.now()
        ledger = self.ledger.read()
        wait = self._wait(ledger, rules, now, by_person=False, is_released=False)
        if ledger.seen is None:
            self.ledger.write(seen(ledger, rules, wait, now))
        if not wait.is_new:
            return None
        planned = yield from self._plan(rules, now, wait, ledger, watermark)
        self._see(ledger, planned, wait, now, who)
        return planned

    def execute(
        self,
        rules: RuleSet,
        *,
        watermark: int,
        who: str,
        config_digest: str,
        by_person: bool,
        release_brake: bool = False,
    ) -> Slices[Report]:
        """Do a whole run. Raises BrakeRefused before anything went; any other error leaves a run to be settled."""
        yield from self.settle_interrupted(who)
        # Before anything is counted: a partition without its aliases would confirm no row.
        self.documents.partitions()
        now = self.rows.now()
        ledger = self.ledger.read()
        wait = self._wait(ledger, rules, now, by_person=by_person, is_released=release_brake)
        planned = yield from self._plan(rules, now, wait, ledger, watermark)
        ledger, policy = self._see(ledger, planned, wait, now, who)
        planned = replace(planned, policy=policy)
        if planned.brakes and not release_brake:
            raise BrakeRefused(planned)
        progress = self._begin(ledger, policy, now, who=who, config_digest=config_digest)
        try:
            yield from self._remove(planned, progress)
        except TemporaryError as error:
            if error.kind in _NOTHING_IN_FLIGHT:
                yield from self.settle_interrupted(who)
            raise
        left = yield from self._prove(planned, progress.tally)
        progress.end(self._journal(progress.record, who, planned, left))
        return Report(run=progress.run, plan=planned, tally=progress.tally, left=left)

    def settle_interrupted(self, who: str) -> Slices[bool]:
        """Count and journal a run that began and did not end; say whether there was one. Idempotent."""
        ledger = self.ledger.read()
        run = ledger.run
        if run is None:
            return False
        settle(run, self.rows, self.documents)
        yield Slice(phase="settle")
        # A run that was held up before it deleted anything leaves nothing to tell, however often it is tried.
        if not run.tally.is_empty and not self._is_journaled(run):
            ledger = replace(ledger, journaled=self._journal(run, who, None, None))
        self.ledger.write(replace(ledger, run=None))
        return True

    def _plan(self, rules: RuleSet, now: datetime, wait: Wait, ledger: Ledger, watermark: int) -> Slices[Plan]:
        policy = fixed(rules, now, self.zone, wait.before)
        policy = replace(policy, unsettled=self._unsettled(watermark))
        orphans = 0
        if self.mirror:
            orphans = yield from self._mirror(policy, ledger.reached).orphans(watermark)
        return (
            yield from plan(policy, self.rows, self.documents, watermark=watermark, limits=self.brakes, orphans=orphans)
        )

    def _unsettled(self, watermark: int) -> tuple[int, int] | None:
        """Return the ids of rows above the watermark; ids that the table does not have are nobody's to wait for."""
        bounds = self.rows.bounds()
        return (watermark + 1, bounds[1]) if bounds and bounds[1] > watermark else None

    def _remove(self, planned: Plan, progress: Progress) -> Slices[None]:
        removal = RowRemoval(
            policy=planned.policy,
            rows=self.rows,
            documents=self.documents,
            archive=self.archive,
            progress=progress,
            gait=self.gait,
            replicas=self.replicas,
            chunk_rows=self.chunk_rows,
        )
        reached = progress.ledger.reached
        yield from removal.slices(_ranges(planned))
        progress.executed(executed_policy(planned.policy, planned.watermark, removal.unconfirmed, removal.in_use))
        policy = narrowed(planned.policy, removal.in_use)
        yield from DocumentRemoval(policy=policy, documents=self.documents, progress=progress).slices()
        if planned.orphans:
            yield from self._mirror(planned.policy, reached).slices(planned.watermark, progress)

    def _mirror(self, policy: Policy, reached: str | None) -> Mirror:
        return Mirror(policy=policy, rows=self.rows, documents=self.documents, fields=MATCH_FIELDS, reached=reached)

    def _prove(self, planned: Plan, tally: Tally) -> Slices[Left]:
        """Look for anything expired within the bounds of the run."""
        rows = 0
        expired = planned.policy.expired(Side.ROWS)
        for first_id, last_id in _ranges(planned):
            for start in range(first_id, last_id + 1, PLAN_IDS):
                rows += self.rows.group([expired], start, min(start + PLAN_IDS - 1, last_id)).groups[0].count
                yield Slice(phase="proof")
        self.documents.refresh()
        documents = self.documents.group([planned.policy.expired(Side.DOCUMENTS)]).groups[0].count
        kept = tally.kept_unconfirmed + tally.kept_dead_letters
        return Left(rows=max(0, rows - kept), documents=documents)

    def _wait(self, ledger: Ledger, rules: RuleSet, now: datetime, *, by_person: bool, is_released: bool) -> Wait:
        is_released = is_released or self.brakes.shorten_wait == "none"
        return wait_of(ledger, rules, now, by_person=by_person, is_released=is_released)

    def _see(self, ledger: Ledger, planned: Plan, wait: Wait, now: datetime, who: str) -> tuple[Ledger, Policy]:
        """Write down which rules are in force; a change that expires nothing new does not wait."""
        rules = planned.policy.rules
        shortens = planned.newly_rows + planned.newly_documents > 0
        wait = wait if shortens else replace(wait, before=None)
        known = seen(ledger, rules, wait, now)
        if known != ledger:
            if shortens and wait.is_new:
                newly = {"rows": planned.newly_rows, "documents": planned.newly_documents}
                what = {"policy_digest": rules.digest, "newly_expired": newly, "rules": rules.as_json()}
                self.journal.append(Kind.POLICY_CHANGED, what, at=stamp(now), who=who)
            self.ledger.write(known)
        return known, planned.policy if shortens else replace(planned.policy, bound=None)

    def _begin(self, ledger: Ledger, policy: Policy, now: datetime, *, who: str, config_digest: str) -> Progress:
        run = RunRecord(
            run=now.strftime("%Y%m%dT%H%M%S.%fZ"),
            started_at=stamp(now),
            by=who,
            policy=policy.as_json(),
            config_digest=config_digest,
            journal_after=self.journal.head(),
            tally=Tally(),
        )
        progress = Progress(self.ledger, ledger, run, self.lease_held)
        progress.begin()
        return progress

    def _is_journaled(self, run: RunRecord) -> bool:
        return any(entry["what"].get("run") == run.run for entry in self.journal.entries(run.journal_after))

    def _journal(self, run: RunRecord, who: str, planned: Plan | None, left: Left | None) -> tuple[int, str]:
        what = told(run, who, planned, left)
        entry = self.journal.append(Kind.RETENTION, what, at=stamp(self.rows.now()), who=run.by)
        return int(entry["number"]), str(entry["hash"])


def _ranges(planned: Plan) -> list[tuple[int, int]]:
    """Return the range of ids in which the plan has found expired rows; none without any."""
    found = [each.expired for each in planned.rows.rules if each.expired.count]
    first = [group.first_id for group in found if group.first_id is not None]
    last = [group.last_id for group in found if group.last_id is not None]
    return [(min(first), max(last))] if first and last else []
