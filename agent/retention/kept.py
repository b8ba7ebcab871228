"""What a run had to keep although it is expired, and what that leaves of its policy (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agent.retention.policy import Policy

HIGHEST_ID = (1 << 63) - 1


@dataclass(slots=True)
class Kept:
    """Rows that had to stay: the oldest of each rule."""

    oldest: dict[str, str] = field(default_factory=dict)

    def add(self, rule: str, created_at: str) -> None:
        """Note one row."""
        self.oldest[rule] = min(self.oldest.get(rule, created_at), created_at)


def narrowed(policy: Policy, kept: Kept) -> Policy:
    """Return the policy with no rule going further than the oldest row it had to keep."""
    if policy.bound is not None:
        return replace(policy, bound=narrowed(policy.bound, kept))
    cutoffs = dict(policy.cutoffs)
    for rule, oldest in kept.oldest.items():
        known = cutoffs[rule]
        cutoffs[rule] = replace(known, rows=_earlier(known.rows, oldest), documents=_earlier(known.documents, oldest))
    return replace(policy, cutoffs=cutoffs)


def executed_policy(policy: Policy, watermark: int, *kept: Kept) -> Policy:
    """Return what a run really executed: what it expired is not indexed again, what it kept can still be repaired.

    A row above the watermark was not there to be looked at, so it is indexed like any other before it goes, however
    old it is.
    """
    base = policy.bound or policy
    for each in kept:
        base = narrowed(base, each)
    return replace(base, unsettled=(watermark + 1, HIGHEST_ID))


def _earlier(cutoff: str | None, oldest: str) -> str | None:
    return None if cutoff is None else min(cutoff, oldest)
