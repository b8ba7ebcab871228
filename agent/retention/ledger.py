"""The ledger: what retention must remember between runs, one document per instance, written by compare-and-set.

    seen       the rules in force and since when; while a shortened policy waits, also the rules before it
    executed   rules and cutoffs of the last run that deleted: what is older is not indexed again
    reached    the latest row cutoff any run has executed: rows older than that may have been deleted by us
    exported   the last id that a scheduled export has written
    journaled  number and hash of the last entry a run has journaled: the journal's end is known beside the journal
    run        a run that has begun and not ended, with its tally and the one deletion that may be in flight

It stands beside the checkpoint under a name of its own, so that a person's `retain --execute` never fences a daemon's
tail. Written before each deletion, it lets the next run count exactly what an interrupted one deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.errors import PermanentError
from agent.opensearch.state import StateStore, Token
from agent.retention.policy import Policy, policy_from_json
from agent.retention.rules import RuleSet, rule_set_from_json

FORMAT_VERSION = 1


@dataclass(slots=True, kw_only=True)
class RuleTally:
    """What one rule deleted on one side."""

    deleted: int = 0
    first_id: int | None = None
    last_id: int | None = None

    def add(self, deleted: int, first_id: int | None = None, last_id: int | None = None) -> None:
        """Count a deletion."""
        self.deleted += deleted
        if first_id is not None:
            self.first_id = first_id if self.first_id is None else min(self.first_id, first_id)
        if last_id is not None:
            self.last_id = last_id if self.last_id is None else max(self.last_id, last_id)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a run has done so far."""

    rows: dict[str, RuleTally] = field(default_factory=dict)
    documents: dict[str, RuleTally] = field(default_factory=dict)
    dropped_partitions: list[str] = field(default_factory=list)
    mirrored: int = 0
    kept_unconfirmed: int = 0
    kept_dead_letters: int = 0
    kept_in_use: int = 0
    gone_meanwhile: int = 0
    archived_rows: int = 0
    archives: list[dict[str, Any]] = field(default_factory=list)

    def of_rows(self, rule: str) -> RuleTally:
        """Return the count of one rule in the table."""
        return self.rows.setdefault(rule, RuleTally())

    def of_documents(self, rule: str) -> RuleTally:
        """Return the count of one rule in the index."""
        return self.documents.setdefault(rule, RuleTally())

    @property
    def rows_deleted(self) -> int:
        """Return all rows deleted."""
        return sum(each.deleted for each in self.rows.values())

    @property
    def documents_deleted(self) -> int:
        """Return all documents deleted by rules."""
        return sum(each.deleted for each in self.documents.values())

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was deleted and nothing archived."""
        return not (
            self.rows_deleted or self.documents_deleted or self.mirrored or self.dropped_partitions or self.archives
        )

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "rows": {name: _rule_json(each) for name, each in sorted(self.rows.items())},
            "documents": {name: _rule_json(each) for name, each in sorted(self.documents.items())},
            "dropped_partitions": list(self.dropped_partitions),
            "mirrored": self.mirrored,
            "kept_unconfirmed": self.kept_unconfirmed,
            "kept_dead_letters": self.kept_dead_letters,
            "kept_in_use": self.kept_in_use,
            "gone_meanwhile": self.gone_meanwhile,
            "archived_rows": self.archived_rows,
            "archives": list(self.archives),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """Return what `as_json` wrote."""
        sides = {
            side: {name: RuleTally(**each) for name, each in content[side].items()} for side in ("rows", "documents")
        }
        return cls(**{**content, **sides})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run that has begun. `in_flight` is the one deletion whose outcome may be unknown."""

    run: str
    started_at: str
    by: str
    policy: Mapping[str, Any]
    config_digest: str
    journal_after: int
    tally: Tally
    in_flight: Mapping[str, Any] | None = None

    @property
    def policy_digest(self) -> str:
        """Return the digest of the rules it executes."""
        return rule_set_from_json(self.policy).digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the document holds. `waiting` are the rules before the seen ones, while those wait."""

    seen: RuleSet | None = None
    seen_at: str | None = None
    waiting: RuleSet | None = None
    executed: Policy | None = None
    reached: str | None = None
    exported_to: int = 0
    journaled: tuple[int, str] | None = None
    run: RunRecord | None = None


class LedgerStore:
    """Read and write the ledger. A write based on what somebody else has changed raises Fenced."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._token: Token | None = None

    def read(self) -> Ledger:
        """Read afresh. Raises PermanentError when the document is damaged or of a newer agent."""
        kept = self._store.read()
        self._token = kept.token if kept else None
        return decoded(kept.document) if kept else Ledger()

    def write(self, ledger: Ledger) -> None:
        """Replace what was read or written last."""
        self._token = self._store.write(encoded(ledger), self._token)


def ledger_name(instance: str) -> str:
    """Return the name of the ledger's document; no instance's name holds a colon."""
    return f"{instance}:retention"


def encoded(ledger: Ledger) -> dict[str, Any]:
    """Return the document."""
    return {
        "format_version": FORMAT_VERSION,
        "seen": ledger.seen.as_json() if ledger.seen else None,
        "seen_at": ledger.seen_at,
        "waiting": ledger.waiting.as_json() if ledger.waiting else None,
        "executed": ledger.executed.as_json() if ledger.executed else None,
        "reached": ledger.reached,
        "exported_to": ledger.exported_to,
        "journaled": list(ledger.journaled) if ledger.journaled else None,
        "run": _run_json(ledger.run) if ledger.run else None,
    }


def decoded(document: Mapping[str, Any]) -> Ledger:
    """Return what a document holds."""
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise PermanentError(
            "retention's ledger is of another format",
            got=f"format {version!r}, this agent reads {FORMAT_VERSION}",
            remedy="run the newer agent",
        )
    try:
        return Ledger(
            seen=_rules(document["seen"]),
            seen_at=document["seen_at"],
            waiting=_rules(document["waiting"]),
            executed=policy_from_json(document["executed"]) if document["executed"] else None,
            reached=document["reached"],
            exported_to=int(document["exported_to"]),
            journaled=(int(noted[0]), str(noted[1])) if (noted := document.get("journaled")) else None,
            run=_run(document["run"]) if document["run"] else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as damage:
        raise PermanentError(
            "retention's ledger is unreadable",
            got=f"{type(damage).__name__}: {damage}",
            remedy="restore the state index from a snapshot, or delete that document to begin a new ledger",
        ) from damage


def _rules(content: Mapping[str, Any] | None) -> RuleSet | None:
    return rule_set_from_json(content) if content else None


def _run_json(run: RunRecord) -> dict[str, Any]:
    return {
        "run": run.run,
        "started_at": run.started_at,
        "by": run.by,
        "policy": dict(run.policy),
        "config_digest": run.config_digest,
        "journal_after": run.journal_after,
        "tally": run.tally.as_json(),
        "in_flight": dict(run.in_flight) if run.in_flight else None,
    }


def _run(content: Mapping[str, Any]) -> RunRecord:
    return RunRecord(**{**content, "tally": Tally.from_json(content["tally"])})


def _rule_json(each: RuleTally) -> dict[str, Any]:
    return {"deleted": each.deleted, "first_id": each.first_id, "last_id": each.last_id}
