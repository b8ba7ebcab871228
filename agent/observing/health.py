"""Whether the agent lives and whether it ships, from what its steps reported. Pure: every call is given the time.

«Healthy» asks whether to restart the process: a step must have ended lately, with success or not, because
restarting does not heal a cluster that is away. «Ready» asks whether rows arrive: only shipping and idle are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Name what the agent is doing, in the words of `status`."""

    SHIPPING = "shipping"
    IDLE = "idle"
    DEGRADED = "degraded"
    STANDBY = "standby"
    STOPPED = "stopped"


class Verdict(NamedTuple):
    """Answer a probe: yes or no, and the reason in words."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Hold what was reported last. Replaced as a whole, so that another thread never reads half a change."""

    state: State
    reason: str
    last_end: float
    last_success: float | None = None
    paused: bool = False


class Health:
    """Follow the agent's state. Times are seconds of one clock, the same for every call."""

    def __init__(self, *, stall_limit_seconds: float, started_at: float) -> None:
        self._stall_limit_seconds = stall_limit_seconds
        self._condition = Condition(state=State.IDLE, reason="no step has finished yet", last_end=started_at)

    @property
    def condition(self) -> Condition:
        """Return the state, the reason (empty when all is well) and when a step last ended and last succeeded."""
        return self._condition

    def step_succeeded(self, now: float, *, shipped_rows: int) -> None:
        """Report a finished step; with rows the agent is shipping, without any it is idle."""
        state = State.SHIPPING if shipped_rows > 0 else State.IDLE
        self._condition = Condition(state=state, reason="", last_end=now, last_success=now)

    def step_failed(self, now: float, reason: str) -> None:
        """Report a step that will be tried again."""
        self._change(State.DEGRADED, reason, now)

    def stood_by(self, now: float, reason: str) -> None:
        """Report that another agent holds the lease."""
        self._change(State.STANDBY, reason, now)

    def paused(self, now: float, reason: str) -> None:
        """Report that a person paused shipping: alive, idle, and not ready."""
        self._change(State.IDLE, reason, now, paused=True)

    def progressed(self, now: float) -> None:
        """Report life from inside a long job (a chunk of a purge, a wait) without a change of state."""
        self._condition = replace(self._condition, last_end=now)

    def stopped(self, now: float, reason: str) -> None:
        """Report the end, wanted or not."""
        self._change(State.STOPPED, reason, now)

    def healthy(self, now: float) -> Verdict:
        """Say whether the process lives: not stopped, and a step ended within the stall limit."""
        condition = self._condition
        if condition.state is State.STOPPED:
            return Verdict(ok=False, reason=f"stopped: {condition.reason}")
        silent_seconds = now - condition.last_end
        if silent_seconds > self._stall_limit_seconds:
            return Verdict(ok=False, reason=f"stalled: no step has ended for {silent_seconds:.0f} s")
        return Verdict(ok=True, reason=condition.reason or condition.state.value)

    def ready(self, now: float) -> Verdict:
        """Say whether rows arrive in the index, or why not."""
        condition = self._condition
        alive = self.healthy(now)
        if not alive.ok:
            return alive
        if condition.state in (State.DEGRADED, State.STANDBY):
            return Verdict(ok=False, reason=f"{condition.state}: {condition.reason}")
        if condition.paused or condition.last_success is None:
            return Verdict(ok=False, reason=condition.reason)
        return Verdict(ok=True, reason=condition.state.value)

    def _change(self, state: State, reason: str, now: float, *, paused: bool = False) -> None:
        last_success = self._condition.last_success
        self._condition = Condition(state=state, reason=reason, last_end=now, last_success=last_success, paused=paused)
