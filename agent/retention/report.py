"""What a run did, told to whoever asked for it and to the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.retention.ledger import RunRecord, Tally
from agent.retention.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What the proof at the end found expired and still there; kept rows are not counted."""

    rows: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did."""

    run: str
    plan: Plan
    tally: Tally
    left: Left

    def as_json(self) -> dict[str, Any]:
        """Return the plan's JSON object and what became of it."""
        return {
            **self.plan.as_json(),
            "run": self.run,
            "deleted": self.tally.as_json(),
            "left": {"rows": self.left.rows, "documents": self.left.documents},
        }


def told(run: RunRecord, who: str, planned: Plan | None, left: Left | None) -> dict[str, Any]:
    """Return what the journal says of a run; without a plan it was interrupted, and `who` counted what it did."""
    what: dict[str, Any] = {
        "run": run.run,
        "started_at": run.started_at,
        "finished": left is not None,
        "policy_digest": run.policy_digest,
        "config_digest": run.config_digest,
        "cutoffs": run.policy["cutoffs"],
        **run.tally.as_json(),
    }
    if planned is None or left is None:
        return {**what, "settled_by": who}
    return {
        **what,
        "planned": {"rows": planned.rows.expired, "documents": planned.documents.expired},
        "left": {"rows": left.rows, "documents": left.documents},
    }
