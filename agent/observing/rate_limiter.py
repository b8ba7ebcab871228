"""How often a repeated failure is said: at once, then ever more seldom, and its end once. Pure.

An hour of outage is a dozen lines. A service that fails and heals every second is no louder: a failure that
returns soon after its recovery goes on with the pause it had reached, instead of starting at «at once» again,
unless it lasts as long as the first pause.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 300.0
# A changed reason is news and is said at once, but reasons that alternate must not defeat the pause.
MOST_REASONS_SAID_AT_ONCE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Say that a failure is due to be told: which failure in a row it is, and since when."""

    failures: int
    outage_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Say that an outage that had been told is over: how long it lasted and how many tries failed."""

    failures: int
    outage_seconds: float


@dataclass(slots=True)
class _Outage:
    began: float
    failures: int = 0
    told: bool = False
    healed_at: float | None = None
    speak_at: float = float("-inf")
    pause: float = 0.0
    reasons: set[str] = field(default_factory=set)


class RateLimiter:
    """Decide for each failure whether it is said. `now` is any clock in seconds, always the same one.

    Keys are names of jobs or parts, a handful: nothing is ever forgotten. `failed` and `recovered` must be called
    for every attempt; their answer None means «be silent».
    """

    def __init__(
        self,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._first_pause = first_pause_seconds
        self._longest_pause = longest_pause_seconds
        self._outages: dict[str, _Outage] = {}

    def failed(self, key: str, now: float, reason: str = "") -> Repeat | None:
        """Count a failure of `key`; return what to say if it is time to say it."""
        outage = self._current(key, now)
        outage.failures += 1
        news = reason not in outage.reasons and len(outage.reasons) < MOST_REASONS_SAID_AT_ONCE
        lasting = not outage.told and now - outage.began >= self._first_pause
        if now < outage.speak_at and not news and not lasting:
            return None
        outage.reasons.add(reason)
        outage.pause = min(max(self._first_pause, outage.pause * 2), self._longest_pause)
        outage.speak_at = now + outage.pause
        outage.told = True
        return Repeat(failures=outage.failures, outage_seconds=max(0.0, now - outage.began))

    def recovered(self, key: str, now: float) -> Recovery | None:
        """End the outage of `key`; return what to say once, and only if the outage itself had been said."""
        outage = self._outages.get(key)
        if outage is None or outage.healed_at is not None:
            return None
        outage.healed_at = now
        if not outage.told:
            return None
        return Recovery(failures=outage.failures, outage_seconds=max(0.0, now - outage.began))

    def _current(self, key: str, now: float) -> _Outage:
        outage = self._outages.get(key)
        if outage is None or (outage.healed_at is not None and now >= outage.healed_at + self._longest_pause):
            outage = self._outages[key] = _Outage(began=now)
        elif outage.healed_at is not None:
            outage.began, outage.failures, outage.told, outage.healed_at = now, 0, False, None
        return outage
