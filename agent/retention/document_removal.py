"""The index's side of a run: partitions of which nothing survives are dropped, the others cleaned in small windows.

A partition is dropped when its period is over under every rule's cutoff and not one of its documents survives, asked
in the same piece of work that drops it. Elsewhere documents go by query, one rule and a few thousand at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import TemporaryError
from agent.mapping.partition import bounds
from agent.retention.condition import Condition
from agent.retention.policy import Policy, Side
from agent.retention.progress import Progress, drop_in_flight, query_in_flight
from agent.retention.rules import Rule
from agent.retention.sides import Documents
from agent.retention.slices import Slice, Slices

WINDOW_DOCUMENTS = 5_000
# Somebody who rewrites the same documents all the time is not retention's to fight.
_FRUITLESS_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class DocumentRemoval:
    """Delete the expired documents of one instance."""

    policy: Policy
    documents: Documents
    progress: Progress

    def slices(self) -> Slices[None]:
        """Do it, oldest partition first."""
        latest = self.policy.latest_cutoff(Side.DOCUMENTS)
        if latest is None:
            return
        rules = [rule for rule in self.policy.rules.rules if self.policy.cutoffs[rule.name].documents is not None]
        conditions = [self.policy.expired(Side.DOCUMENTS, rule) for rule in rules]
        for partition in self.documents.partitions():
            # Every partition is looked at: a document may be in another one than its date says.
            period = bounds(partition)
            is_over = period is not None and period[1].strftime("%Y-%m-%dT%H:%M:%S.000Z") <= latest
            yield from self._clean(partition, rules, conditions, is_over=is_over)

    def _clean(
        self, partition: str, rules: Sequence[Rule], conditions: Sequence[Condition], *, is_over: bool
    ) -> Slices[None]:
        self.documents.refresh()
        found = self.documents.group(conditions, partition)
        counts = {rule.name: group.count for rule, group in zip(rules, found.groups, strict=True) if group.count}
        if is_over and found.total == sum(counts.values()):
            self.progress.announce(drop_in_flight(partition, counts))
            self.documents.drop(partition)
            self.progress.tally.dropped_partitions.append(partition)
            for name, count in counts.items():
                self.progress.tally.of_documents(name).add(count)
            yield Slice(phase="documents", done=self.progress.tally.documents_deleted)
            return
        for rule, condition in zip(rules, conditions, strict=True):
            yield from self._delete(partition, rule.name, condition, counts.get(rule.name, 0))

    def _delete(self, partition: str, rule: str, condition: Condition, left: int) -> Slices[None]:
        fruitless = 0
        while left > 0:
            self.progress.announce(query_in_flight(self.policy, partition, rule, left))
            deleted = self.documents.delete(condition, partition, WINDOW_DOCUMENTS)
            self.progress.tally.of_documents(rule).add(deleted)
            yield Slice(phase="documents", done=self.progress.tally.documents_deleted)
            self.documents.refresh()
            left = self.documents.group([condition], partition).groups[0].count
            fruitless = 0 if deleted else fruitless + 1
            if fruitless >= _FRUITLESS_TRIES:
                what = "documents are rewritten while they are deleted"
                raise TemporaryError(what, where=partition, got=f"{left} left", kind="conflict")
