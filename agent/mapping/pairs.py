"""Pairs inside a text: `password=…`, `"token": "…"`, `'secret' => '…'`, `--api-key …`, `<pwd>…</pwd>`.

Messages quote commands, DSNs, arrays and JSON; a context that is invalid or cut is nothing else. The key is judged
as a context's key is; the value ends where its quotes, its brackets or its word end, or with the text.
"""

from __future__ import annotations

import re

from agent.mapping.leaf import MARK
from agent.mapping.secret_keys import SecretKeys

_PAIR = re.compile(
    r"(?<![A-Za-z0-9_.-])"
    r"((?:(?:api|access|private|secret|secret access|licen[cs]e|encryption|signing|session) (?:key|token|id))"
    r"|[A-Za-z0-9_.-]{2,80}+)"  # possessive: nothing of a word may follow it, so no shorter one would do
    r"(?:\]?\\{0,8}[\"']?\s{0,8}(?:=>|[:=>]|%3[dD])\s{0,8}|\s{1,4}(?:is|was):?\s{1,4})",
    re.IGNORECASE,
)
_NOTED = re.compile(
    r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{2,80}+)"
    r"(?:\\{0,8}[\"'];s:\d{1,6}:|\\{0,8}[\"']\]=>\s{0,8}string\(\d{1,6}\)\s{1,4}|(?:%22)?%3[aA](?:%22)?)"
)
"""The same in the notations of PHP's `serialize` and `var_dump`, and of JSON in a URL."""
_NOTATIONS = (";s:", "string(", "%3")
_OPTION = re.compile(r"(?<!\S)(--?[A-Za-z][A-Za-z0-9-]{1,60})(?: {1,4})(?=[^\s-])")
SEPARATORS = (
    "=",
    ">",
    "%3[aAdD]",
    "-(?=-[A-Za-z])",
    r":(?:(?<=[A-Za-z0-9_\]' ]:)(?!\d\d|\\{0,4}/\\{0,4}/)|(?<=\\[\"']:))",
)
"""What parts key and value of a pair within a JSON string, as expressions for the gate."""
_BARE_END = re.compile(r"[\s,;&\"'<>)}\]|\\]|\Z")
_LINE_END = re.compile(r"[\"'\r\n\\]|\Z")
_OPEN_QUOTE = re.compile(r"(\\*)([\"'])")
_WHOLE_LINE = ("authorization", "cookie")
# What messages say about a secret: «password is incorrect», «invalid token: expired». In quotes it would be a value.
_SAID = frozenset(
    [
        "null",
        "true",
        "false",
        "none",
        "yes",
        "no",
        "nil",
        "a",
        "an",
        "the",
        "not",
        "too",
        "now",
        "valid",
        "invalid",
        "wrong",
        "incorrect",
        "correct",
        "missing",
        "required",
        "expired",
        "empty",
        "set",
        "unset",
        "weak",
        "already",
        "being",
        "in",
        "on",
        "ok",
        "needed",
        "unknown",
        "revoked",
        "rotated",
        "changed",
        "disabled",
        "enabled",
        "signature",
        "mismatch",
        "malformed",
    ]
)


class Pairs:
    """Replace the values of pairs whose key is a secret one."""

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = keys

    def redacted(self, text: str, counts: dict[str, int]) -> str:
        """Return the text with those values replaced, each counted under its key's rule."""
        found = self._pass(_OPTION, self._pass(_PAIR, text, counts), counts)
        return self._pass(_NOTED, found, counts) if any(each in found for each in _NOTATIONS) else found

    def _pass(self, pattern: re.Pattern[str], text: str, counts: dict[str, int]) -> str:
        pieces: list[str] = []
        done = 0
        found = pattern.search(text)
        while found is not None:
            after = found.end()
            rule = self._keys.rule(found[1])
            start, end = (after, after) if rule is None else value_span(text, after, whole_line=rule in _WHOLE_LINE)
            said = start == after and text[start:end].lower() in _SAID
            if rule is not None and not said and self._is_secret(found[1], text[start:end]):
                pieces += (text[done:start], f"{MARK}{rule}]")
                counts[rule] = counts.get(rule, 0) + 1
                done = after = end
            found = pattern.search(text, max(after, found.start() + 1))
        return "".join((*pieces, text[done:])) if pieces else text

    def _is_secret(self, key: str, value: str) -> bool:
        if not value.strip("*") or value.startswith(MARK):
            return False
        return self._keys.is_secret(key, int(value) if value.isdecimal() and len(value) < 20 else value)


def value_span(text: str, start: int, *, whole_line: bool) -> tuple[int, int]:
    """Return where the value that begins at `start` really begins and ends, without its quotes."""
    quoted = _OPEN_QUOTE.match(text, start)
    if quoted is not None:
        return quoted.end(), _quoted_end(text, quoted.end(), quoted[1], quoted[2])
    if text[start : start + 1] in ("{", "[") and not text.startswith(MARK, start):
        return start, _bracket_end(text, start)
    if text.startswith(MARK, start):
        return start, start
    end = (_LINE_END if whole_line else _BARE_END).search(text, start)
    return start, end.start() if end is not None else len(text)


def _quoted_end(text: str, start: int, escape: str, quote: str) -> int:
    """Find the closing quote, written with as many backslashes as the opening one; a cut text has none."""
    place = text.find(quote, start)
    while place >= 0:
        first = place
        while first > start and text[first - 1] == "\\":
            first -= 1
        if place - first == len(escape) or (place - first > len(escape) and not escape and (place - first) % 2 == 0):
            return first if escape else place
        place = text.find(quote, place + 1)
    return len(text)


def _bracket_end(text: str, start: int) -> int:
    depth = 0
    place = start
    while place < len(text):
        char = text[place]
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return place + 1
        elif char == '"':
            place = _quoted_end(text, place + 1, "", char)
        place += 1
    return len(text)
