"""One line of the doctor: how bad, what was looked at, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import AgentError


class Level(StrEnum):
    """Say how bad it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold one line. `remedy` is empty only where there is nothing to do."""

    level: Level
    name: str
    finding: str
    remedy: str = ""

    def as_line(self) -> str:
        """Return the line as a person reads it."""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return _one_line(f"{self.level:<4}  {self.name}: {self.finding}{remedy}")

    def as_json(self) -> Mapping[str, str]:
        """Return the members of the line for a machine."""
        members = {"level": self.level, "name": self.name, "finding": self.finding, "remedy": self.remedy}
        return {key: _one_line(str(value)) for key, value in members.items()}


def ok(name: str, finding: str, remedy: str = "") -> Finding:
    """Return a line about something in order."""
    return Finding(level=Level.OK, name=name, finding=finding, remedy=remedy)


def warn(name: str, finding: str, remedy: str) -> Finding:
    """Return a line about something that works and should be known."""
    return Finding(level=Level.WARN, name=name, finding=finding, remedy=remedy)


def fail(name: str, finding: str, remedy: str) -> Finding:
    """Return a line about something that cannot work."""
    return Finding(level=Level.FAIL, name=name, finding=finding, remedy=remedy)


def failure(name: str, error: AgentError, *, level: Level = Level.FAIL) -> Finding:
    """Return the line for a question that got an error instead of an answer."""
    finding = error.what + (f" at {error.where}" if error.where else "") + (f": {error.got}" if error.got else "")
    return Finding(level=level, name=name, finding=finding, remedy=error.remedy or "repeat when it answers again")


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Say whether nothing fails."""
    return all(finding.level is not Level.FAIL for finding in findings)


def _one_line(text: str) -> str:
    # Texts of servers end up in here: none may forge a line or colour a terminal.
    return "".join(character if character.isprintable() else " " for character in text)
