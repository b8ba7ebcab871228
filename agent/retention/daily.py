"""The daemon's retention: at its hour a run, cut into slices that fit between two steps of the tail.

`begin` is called at the hour, `step` whenever the tail has a moment, `adopt` when retention.yml has changed. A run is
ended by a change of the rules: the next one settles it under the new ones. Everything that may happen is told to a
witness; nothing but what a person must see is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from agent.errors import AgentError
from agent.retention.plan import Plan
from agent.retention.rules import RuleSet
from agent.retention.run import BrakeRefused, Report, Retention
from agent.retention.slices import Slices


class Work(Protocol):
    """Retention under one reading of retention.yml."""

    @property
    def enforces(self) -> bool:
        """Say whether the daemon deletes, or only plans."""
        ...

    @property
    def config_digest(self) -> str:
        """Return the SHA-256 of the file."""
        ...

    @property
    def retention(self) -> Retention:
        """Return the run."""
        ...

    def rules(self) -> RuleSet:
        """Return the rules in force now."""
        ...

    def watermark(self) -> int:
        """Return the durable watermark."""
        ...

    def acquire(self) -> bool:
        """Take the right to delete, if nobody else has it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class Witness(Protocol):
    """Who is told: log, metrics, status."""

    def planned(self, plan: Plan) -> None:
        """Hear what would go; nothing went."""
        ...

    def announced(self, plan: Plan | None) -> None:
        """Hear that changed rules are in force, and what they newly expire if they shorten."""
        ...

    def finished(self, report: Report) -> None:
        """Hear what went."""
        ...

    def refused(self, refusal: BrakeRefused) -> None:
        """Hear that a brake stopped the plan before anything went."""
        ...

    def deferred(self, error: AgentError) -> None:
        """Hear why the run could not go on; it is tried again at its hour."""
        ...


class Daily:
    """At most one piece of retention work at a time, done slice by slice."""

    def __init__(self, work: Work, witness: Witness, *, who: str, clock: Callable[[], float]) -> None:
        self._work = work
        self._witness = witness
        self._who = who
        self._clock = clock
        self._slices: Slices[Any] | None = None
        self._tell: Callable[[Any], None] = witness.announced
        self._due = 0.0

    @property
    def is_working(self) -> bool:
        """Say whether there is a slice to do now or after a pause."""
        return self._slices is not None

    def begin(self) -> None:
        """Start the day's run, or the day's plan in preview mode; does nothing while one is going on."""
        if self._slices is None:
            self._start(self._run() if self._work.enforces else self._preview())

    def adopt(self, work: Work | None = None) -> None:
        """Take the rules of a changed file, or take note of those at start; a shortened policy begins to wait now."""
        self.stop()
        self._work = work or self._work
        self._start(self._announce())

    def step(self) -> float | None:
        """Do one slice if it is due; return the seconds until the next is, None when there is none."""
        if self._slices is None:
            return None
        if self._clock() >= self._due:
            self._advance(self._slices)
        return None if self._slices is None else max(0.0, self._due - self._clock())

    def stop(self) -> None:
        """End what is going on; what was begun is settled by the next run."""
        if self._slices is not None:
            self._slices.close()
            self._end()

    def _advance(self, slices: Slices[Any]) -> None:
        try:
            piece = next(slices)
        except StopIteration as end:
            self._end()
            self._tell(end.value)
        except BrakeRefused as refusal:
            self._end()
            self._witness.refused(refusal)
        except AgentError as error:
            self._end()
            self._witness.deferred(error)
        else:
            self._due = self._clock() + piece.pause_seconds

    def _start(self, slices: Slices[Any]) -> None:
        self._slices = slices
        self._due = self._clock()

    def _end(self) -> None:
        self._slices = None
        self._work.release()

    def _run(self) -> Slices[Report | None]:
        self._tell = lambda report: self._witness.finished(report) if report else None
        if not self._work.acquire():
            return None
        return (
            yield from self._work.retention.execute(
                self._work.rules(),
                watermark=self._work.watermark(),
                who=self._who,
                config_digest=self._work.config_digest,
                by_person=False,
            )
        )

    def _preview(self) -> Slices[Plan]:
        self._tell = self._witness.planned
        return (yield from self._work.retention.preview(self._work.rules(), watermark=self._work.watermark()))

    def _announce(self) -> Slices[Plan | None]:
        self._tell = self._witness.announced
        return (
            yield from self._work.retention.announce(
                self._work.rules(), watermark=self._work.watermark(), who=self._who
            )
        )
