"""The progress of one run: its tally, and the deletion in flight, written to the ledger before each deletion.

What is in flight when a process dies is settled by the next run: rows that are gone were deleted, rows that are there
were not; an index that is gone was dropped; of a query, the count tells how many went. Each settles to the very number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.errors import TemporaryError
from agent.retention.ledger import Ledger, LedgerStore, RunRecord, Tally
from agent.retention.policy import Policy, Side, policy_from_json
from agent.retention.sides import Documents, Rows


class Progress:
    """Keep the ledger of a run that has begun; every write is a fence against a second runner."""

    def __init__(self, store: LedgerStore, ledger: Ledger, run: RunRecord, lease_held: Callable[[], bool]) -> None:
        self._store = store
        self._ledger = ledger
        self._run = run
        self._lease_held = lease_held

    @property
    def tally(self) -> Tally:
        """Return what was done so far."""
        return self._run.tally

    @property
    def run(self) -> str:
        """Return the run's name."""
        return self._run.run

    @property
    def record(self) -> RunRecord:
        """Return the run's record as it stands."""
        return self._run

    @property
    def ledger(self) -> Ledger:
        """Return the ledger as last written."""
        return self._ledger

    def begin(self) -> None:
        """Make the run known before it does anything."""
        self._write(None)

    def announce(self, in_flight: Mapping[str, Any]) -> None:
        """Write down what is about to be deleted. Raises when the lease or the ledger is somebody else's by now."""
        self.check_lease()
        self._write(in_flight)

    def check_lease(self) -> None:
        """Raise TemporaryError when somebody else holds the lease by now."""
        if not self._lease_held():
            raise TemporaryError("the lease was lost", remedy="the agent that holds it goes on", kind="lease_lost")

    def executed(self, policy: Policy) -> None:
        """Record the cutoffs that were executed: from here on what is older is not indexed again."""
        latest = policy.latest_cutoff(Side.ROWS)
        reached = max((each for each in (self._ledger.reached, latest) if each is not None), default=None)
        self._ledger = replace(self._ledger, executed=policy, reached=reached)
        self._write(None)

    def end(self, journaled: tuple[int, str]) -> None:
        """Close the run, and note which entry of the journal tells of it."""
        self._ledger = replace(self._ledger, run=None, journaled=journaled)
        self._store.write(self._ledger)

    def _write(self, in_flight: Mapping[str, Any] | None) -> None:
        self._run = replace(self._run, in_flight=in_flight)
        self._ledger = replace(self._ledger, run=self._run)
        self._store.write(self._ledger)


def rows_in_flight(rules: Mapping[int, str]) -> dict[str, Any]:
    """Describe rows about to be deleted, by rule."""
    by_rule: dict[str, list[int]] = {}
    for row_id, rule in sorted(rules.items()):
        by_rule.setdefault(rule, []).append(row_id)
    return {"kind": "rows", "ids": by_rule}


def drop_in_flight(partition: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """Describe a partition about to be dropped, with what its documents count for."""
    return {"kind": "drop", "partition": partition, "counts": dict(counts)}


def query_in_flight(policy: Policy, partition: str, rule: str, left: int) -> dict[str, Any]:
    """Describe documents of one rule about to be deleted from a partition, and how many there are."""
    return {"kind": "query", "policy": policy.as_json(), "partition": partition, "rule": rule, "left": left}


def mirror_in_flight(ids: Sequence[int]) -> dict[str, Any]:
    """Describe documents about to be deleted because their rows are gone."""
    return {"kind": "mirror", "ids": list(ids)}


def settle(run: RunRecord, rows: Rows, documents: Documents) -> None:
    """Count what an interrupted run's last deletion did."""
    flight = run.in_flight
    if not flight:
        return
    if flight["kind"] == "rows":
        _settle_rows(run.tally, flight["ids"], rows)
    elif flight["kind"] == "drop" and flight["partition"] not in documents.partitions():
        run.tally.dropped_partitions.append(flight["partition"])
        for rule, count in flight["counts"].items():
            run.tally.of_documents(rule).add(count)
    elif flight["kind"] == "mirror":
        documents.refresh()
        run.tally.mirrored += len(set(flight["ids"]) - set(documents.checksums(flight["ids"])))
    elif flight["kind"] == "query":
        _settle_query(run.tally, flight, policy_from_json(flight["policy"]), documents)


def _settle_rows(tally: Tally, by_rule: Mapping[str, Sequence[int]], rows: Rows) -> None:
    there = rows.existing([row_id for ids in by_rule.values() for row_id in ids])
    for rule, ids in by_rule.items():
        gone = [row_id for row_id in ids if row_id not in there]
        if gone:
            tally.of_rows(rule).add(len(gone), gone[0], gone[-1])


def _settle_query(tally: Tally, flight: Mapping[str, Any], policy: Policy, documents: Documents) -> None:
    rule = next((each for each in policy.rules.rules if each.name == flight["rule"]), None)
    if rule is None:
        return
    documents.refresh()
    left = documents.group([policy.expired(Side.DOCUMENTS, rule)], flight["partition"]).groups[0].count
    tally.of_documents(rule.name).add(max(0, flight["left"] - left))
