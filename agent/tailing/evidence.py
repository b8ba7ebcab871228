"""Evidence: which transactions may still fill a gap, from the first rung of the ladder that really works.

    metadata_locks → metadata_lock_info → innodb_trx → grace

`auto` takes the first rung whose probe works with the agent's own grants on this server. A rung lost at run time
(plugin unloaded, privilege revoked) is left for the next one, and samples taken on it are forgotten: a gap is then
sighted anew, which delays its end but never skips it wrongly. Better rungs are tried again from time to time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.errors import PermanentError

GRACE = "grace"
CLIMB_AGAIN_SECONDS = 300.0


class Availability(Protocol):
    """Whether a probe works here, and the reason."""

    @property
    def ok(self) -> bool:
        """Say whether it works."""
        ...

    @property
    def reason(self) -> str:
        """Say why, or why not."""
        ...


class Probe(Protocol):
    """One way of asking the server who may still commit into the table.

    `holders` names the transactions that hold a write lock on the table at the time of the call: a name never
    changes while its transaction lives, and means something only to the probe object that gave it. It raises
    PermanentError when the answer could not be vouched for, never answers with less than the truth, and raises
    TemporaryError when the server is away.
    """

    @property
    def name(self) -> str:
        """Return the rung's name in configuration, `status` and logs."""
        ...

    def available(self) -> Availability:
        """Say whether the probe works on this server with these grants."""
        ...

    def holders(self) -> frozenset[str]:
        """Return the names of the transactions that may still write to the table."""
        ...


@dataclass(frozen=True, slots=True)
class Rung:
    """The evidence in use, and why it is this one."""

    name: str
    reason: str


class Evidence:
    """Sample live transactions on the best rung that works."""

    def __init__(
        self,
        probes: Sequence[Probe],
        wanted: str,
        clock: Callable[[], float],
        objection: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._probes = [probe for probe in probes if wanted in ("auto", probe.name)]
        self._wanted = wanted
        self._objection = objection
        self._clock = clock
        self._probe: Probe | None = None
        self._chosen_at: float | None = None
        self._objected: str | None = None
        self._told: str | None = None
        self.rung = Rung(GRACE, "not probed yet")

    def sample(self) -> tuple[frozenset[str] | None, bool]:
        """Return the live transactions (None on the grace rung) and whether the rung changed since the last sample.

        After a change the caller must forget earlier samples before it uses this one.
        """
        if self._must_choose():
            self.choose()
        while self._probe is not None:
            try:
                holders = self._probe.holders()
            except PermanentError as lost:
                self.choose(lost=f"{self._probe.name} was lost: {lost.got}")
                continue
            return holders, self._is_news()
        return None, self._is_news()

    def choose(self, lost: str = "") -> Rung:
        """Take the first rung that works now; `lost` tells why an earlier one was left."""
        objection = self._objection()
        # As one, at the end: a server that goes away meanwhile leaves the choice as it was, and it is made again.
        self._probe, self.rung = (None, Rung(GRACE, objection)) if objection else self._best(lost)
        self._objected = objection
        self._chosen_at = self._clock()
        self._told = self._told or self.rung.name
        return self.rung

    def _must_choose(self) -> bool:
        if self._chosen_at is None or self._objection() != self._objected:
            return True
        return self._clock() - self._chosen_at >= CLIMB_AGAIN_SECONDS

    def _best(self, lost: str) -> tuple[Probe | None, Rung]:
        refused = [lost] if lost else []
        left = self._probe if lost else None
        for probe in self._probes:
            if probe is left:
                continue
            availability = probe.available()
            if availability.ok:
                return probe, Rung(probe.name, "; ".join([*refused, availability.reason]))
            refused.append(f"{probe.name}: {availability.reason}")
        return None, Rung(GRACE, "configured" if self._wanted == GRACE else "; ".join(refused))

    def _is_news(self) -> bool:
        """Say whether this sample is of another rung than was told last, however many tries lay between."""
        before, self._told = self._told, self.rung.name
        return before != self.rung.name
