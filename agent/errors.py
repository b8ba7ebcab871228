"""Errors by recovery: what the caller must do decides the class, not what went wrong.

    ConfigError      a person must change something before another try can work; exit code 2
    TemporaryError   the world outside may heal by itself: wait and repeat the whole step
    PermanentError   repeating cannot help and guessing would harm: stop and say so; exit code 1

A bad document is none of these: it is a value, a dead letter.
"""

from __future__ import annotations

CUT = "…"


class AgentError(Exception):
    """State what failed, where, what was met there, and the remedy, in one line a person can act on."""

    def __init__(self, what: str, *, where: str = "", got: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.got = got
        self.remedy = remedy
        super().__init__(what, where, got, remedy)

    def __str__(self) -> str:
        line = self.what
        if self.where:
            line += f" at {self.where}"
        if self.got:
            line += f": {self.got}"
        if self.remedy:
            line += f" (remedy: {self.remedy})"
        return line.replace("\n", " ")


class ConfigError(AgentError):
    """Say that configuration or privileges must be changed by a person."""


class PermanentError(AgentError):
    """Say that going on would be a guess: the agent stops rather than lose or double anything."""


class TemporaryError(AgentError):
    """Say that the same step may succeed later.

    `kind` is a short stable word for metrics and status (`unreachable`, `throttled`, `blocked`, `forbidden`,
    `too_large`, …); `retry_after_seconds` is the server's own word on when to come back, if it gave one.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        got: str = "",
        remedy: str = "",
        kind: str = "unavailable",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(what, where=where, got=got, remedy=remedy)
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds


def cut(text: str, longest: int) -> str:
    """Return what a message can carry of a long text; where it was cut, `CUT` says so: a secret may be cut with it."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT
