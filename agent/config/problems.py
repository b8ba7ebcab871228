"""What is wrong in a configuration file, and how it is said: one line a problem, all problems of a file at once.

    config/agent.yml:12: tail.batch_rows: got "abc", allowed a whole number from 1 to 100000
    config/agent.yml:14: tail.batch_row: unknown key; did you mean «batch_rows»?

Values are shown as they were met, except secrets: nothing that may hold a password is ever quoted.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.errors import ConfigError

KeyPath = tuple[str | int, ...]

_SHOWN_CHARACTERS = 60  # enough to recognise a value, short enough for one line
_SECRET_PARAMETER = re.compile(r"(?i)([\w.-]*(?:passw|pwd|secret|token|key)[\w.-]*=)[^&\s]*")
_FORGOTTEN_HOST = re.compile(r"^([^:/\[]*):(?![0-9]{0,5}(?:[/?#]|$)).*")  # user:password without @host
_MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Say one thing that is wrong: where, what was got, what is allowed, what was probably meant."""

    file: str
    line: int
    path: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        path = f"{self.path}: " if self.path else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return printable(f"{place}: {path}{self.what}{remedy}")


class InvalidFile(ConfigError):  # noqa: N818  # it names the thing found, like its parents' siblings in messages
    """Carry every problem of one or more files; its text has one line each, after a summary if there are several."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        first = self.problems[0]
        super().__init__(first.what, where=f"{first.file}:{first.line}" if first.line else first.file)
        self.file = file

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if len(lines) == 1:
            return lines[0]
        return "\n".join([printable(f"{self.file}: {len(lines)} problems"), *lines])


def dotted(path: KeyPath) -> str:
    """Write a path as people say it: `rules[2].match.severity`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return printable(text)


def printable(text: str) -> str:
    """Return text without control characters, so that no value can forge a line of a log."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def shown(value: object) -> str:
    """Return a value fit for a message: one line, cut, without control characters and without passwords."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        masked = mask_url(value)
        cut = masked if len(masked) <= _SHOWN_CHARACTERS else masked[:_SHOWN_CHARACTERS] + "…"
        return printable(json.dumps(cut, ensure_ascii=False))
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text[:_SHOWN_CHARACTERS]


def mask_url(text: str) -> str:
    """Return a URL without its password, however oddly it is written.

    Everything between the first colon of the user part and the last `@` goes, because a password with a bare `@` or
    `/` in it is exactly the kind of mistake that ends up in an error message.
    """
    scheme, found, rest = text.partition("://")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        scheme, found, rest = "", "", text
    user_part, at, address = rest.rpartition("@")
    if at and ":" in user_part:
        rest = f"{user_part.partition(':')[0]}:{_MASK}@{address}"
    elif found and not at:
        rest = _FORGOTTEN_HOST.sub(rf"\1:{_MASK}", rest)
    return _SECRET_PARAMETER.sub(rf"\1{_MASK}", f"{scheme}{found}{rest}")


def near(word: str, allowed: Iterable[str]) -> str:
    """Return the allowed word that was probably meant, or an empty string."""
    words = list(allowed)
    folded = word.strip().lower().replace("-", "_")
    if not folded:
        return ""
    exact = [candidate for candidate in words if candidate.lower().replace("-", "_") == folded]
    longer = [candidate for candidate in words if candidate.lower().startswith(f"{folded}_")]
    if exact or longer:
        return (exact or longer)[0]
    matches = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return matches[0] if matches else ""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return the question to end a message with, or an empty string when nothing is near."""
    candidate = near(word, allowed)
    return f"; did you mean «{candidate}»?" if candidate else ""
