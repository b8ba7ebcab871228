"""Verification, wired from an application's parts: for `verify`, for `explain`, and for the daemon's weekly run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from agent import __version__
from agent.cli.app import Application, now_text
from agent.cli.retaining import Retaining
from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.partition import Calendar, Period
from agent.mysql.windows import WindowReader
from agent.retention.journal import Kind
from agent.retention.ledger import Ledger
from agent.retention.policy import Side, policy_from_json
from agent.row import Row
from agent.tailing.gaps import Progress
from agent.verifying.deep import Deep
from agent.verifying.findings import Scope
from agent.verifying.judging import Judge
from agent.verifying.knowledge import Front, Knowledge, Removed
from agent.verifying.repair import Repair
from agent.verifying.stored import StoredDocuments
from agent.verifying.verification import Verification

Ship = Callable[[Sequence[Row]], Mapping[str, int]]

IDS_JOURNALED = 1000
_FRONT_ROWS = 1000
_FRONT_BYTES = 4 * 1024 * 1024
_NO_LIMIT = 10**9
_LEAST_RETENTION = timedelta(days=1)  # Core's setting is a number of days


def verification(app: Application, progress: Progress, *, ship: Ship, who: str) -> Verification:
    """Return a verification of one instance; `ship` re-ships rows, `who` stands in the journal for deleted orphans."""
    documents = stored_documents(app)
    known = knowledge(app, progress)
    place = calendar(app)
    return Verification(
        rows=app.rows,
        windows=WindowReader(app.database, app.table),
        documents=documents,
        knowledge=known,
        judge=Judge(
            rows=app.rows, documents=documents, knowledge=known, place=lambda row: place.place(_created_at(row))[0]
        ),
        deep=Deep(rows=app.rows, documents=documents, builder=lambda: throwaway_builder(app)),
        repair=Repair(documents=documents, ship=ship, record=lambda ids: _journal_orphans(app, ids, who)),
        window_rows=app.configuration.settings.verify.window_rows,
        clock=time.monotonic,
    )


def whole(progress: Progress, *, deep: bool = False, repair: bool = False, delete_orphans: bool = False) -> Scope:
    """Return the scope of everything that is settled."""
    return Scope(low=1, high=progress.watermark, deep=deep, repair=repair, delete_orphans=delete_orphans)


def stored_documents(app: Application) -> StoredDocuments:
    """Return the index's side."""
    return StoredDocuments(app.cluster, app.names, app.partitions)


def knowledge(app: Application, progress: Progress) -> Knowledge:
    """Return what explains differences."""
    return Knowledge(
        dead_letters=app.dead_letters,
        refused=lambda rows: retaining(app).expiry().refused_rows(rows, app.table.shape),
        removed=lambda: removed_by(retaining(app).ledger.read()),
        front=lambda: front(app),
        watched=[(watched.first, watched.last) for watched in progress.watch],
    )


def retaining(app: Application) -> Retaining:
    """Return retention as it is configured now, to be asked and not to be run."""
    return Retaining(app, app.retention_settings, app.retention_digest)


def removed_by(kept: Ledger) -> Removed:
    """Return what runs of ours have deleted, by the rules that they have executed.

    The last run and one that is under way are known to the rule; of those before, only how far the strictest reached.
    """
    policies = [policy for policy in (kept.executed, policy_from_json(kept.run.policy) if kept.run else None) if policy]
    known = max((cutoff for each in policies if (cutoff := each.latest_cutoff(Side.ROWS))), default="")

    def may_be(facts: Mapping[str, Any]) -> bool:
        created_at = facts.get("created_at")
        if created_at is None or any(policy.hold_of(facts) for policy in policies):
            return False
        if any(policy.decide_on_facts(Side.ROWS, facts).expired for policy in policies):
            return True
        return kept.reached is not None and known < kept.reached and str(created_at) < kept.reached

    return Removed(max(known, kept.reached or "") or None, may_be)


def front(app: Application) -> Front:
    """Return where the table begins now."""
    rows = app.rows.after(0, _FRONT_ROWS, _FRONT_BYTES).rows
    purgeable = ago(app, _LEAST_RETENTION)
    place = calendar(app)
    dated = [(date, int(row[0] or 0)) for row in rows if (date := place.place(_created_at(row))[1]) is not None]
    created_at, row_id = min(dated, default=(None, int(rows[0][0] or 0) if rows else None))
    return Front(row_id, created_at, purgeable)


def ago(app: Application, span: timedelta) -> str:
    """Return the instant so long ago by the database's clock, as documents write it."""
    now = datetime.fromisoformat(app.rows.bounds().now)
    return (now - span).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def calendar(app: Application) -> Calendar:
    """Return what places rows in partitions."""
    settings = app.configuration.settings
    return Calendar(cast("Period", settings.opensearch.partition), settings.source.time_zone)


def throwaway_builder(app: Application) -> DocumentBuilder:
    """Return a builder with a catalogue of its own, empty and without a budget: nobody else's is widened."""
    settings = app.configuration.settings
    catalogue = Catalogue(
        max_fields=_NO_LIMIT,
        max_depth=settings.context.max_depth,
        rules=app.field_rules,
        sensitive=app.redaction.key_rule,
    )
    return DocumentBuilder(
        instance=app.instance,
        shape=app.table.shape,
        period=cast("Period", settings.opensearch.partition),
        zone=settings.source.time_zone,
        catalogue=catalogue,
        redaction=app.redaction,
        max_bytes=settings.context.max_bytes,
        version=__version__,
    )


def _created_at(row: Row) -> str | None:
    return cast("str | None", row[1])


def _journal_orphans(app: Application, ids: Sequence[int], who: str) -> None:
    what = {"count": len(ids), "first": ids[0], "last": ids[-1], "ids": list(ids[:IDS_JOURNALED])}
    app.journal.append(Kind.ORPHANS_DELETED, what, at=now_text(), who=who)
