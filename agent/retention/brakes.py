"""The brakes: which plans are too large to be meant (pure). A person may release them; nothing else may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.retention.policy import Side


class Limits(Protocol):
    """The configured limits of one run."""

    @property
    def max_share(self) -> float: ...
    @property
    def max_rows(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much of one side a plan would delete."""

    side: Side
    expired: int
    total: int


def tripped(loads: Sequence[Load], limits: Limits) -> tuple[str, ...]:
    """Return why the plan must stop, one line a brake; empty when it may go on. A plan at a limit may go on."""
    reasons = []
    for load in loads:
        if load.expired > limits.max_rows:
            reasons.append(f"{load.side}: {load.expired} would go, brakes.max_rows is {limits.max_rows}")
        if load.expired > limits.max_share * load.total:
            share = load.expired / max(load.total, 1)
            reasons.append(
                f"{load.side}: {load.expired} of {load.total} ({share:.1%}) would go, "
                f"brakes.max_share is {limits.max_share:.1%}"
            )
    return tuple(reasons)
