"""`${NAME}` and `${NAME:-default}` in values: the only thing a configuration file takes from its surroundings.

What a variable holds is a value and nothing else: it is never parsed as YAML again, so no variable can add a key.
`:-` means what it means in the shell: the default serves when the variable is unset or empty. `$${` writes `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_REFERENCE = re.compile(
    r"\$(?P<escaped>\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\$\{)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Hold a value after expansion, the variables it took, those that were missing, and whether it was well formed."""

    text: str
    taken: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    malformed: bool = False


@dataclass(slots=True)
class _Tally:
    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    malformed: bool = False


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Replace every reference in one scalar."""
    if "$" not in text:
        return Expansion(text=text)
    tally = _Tally()
    expanded = _REFERENCE.sub(lambda match: _replace(match, environ, tally), text)
    return Expansion(text=expanded, taken=tuple(tally.taken), missing=tuple(tally.missing), malformed=tally.malformed)


def _replace(match: re.Match[str], environ: Mapping[str, str], tally: _Tally) -> str:
    if match["escaped"]:
        return "${"
    if match["bad"]:
        tally.malformed = True
        return ""
    name, default = match["name"], match["default"]
    value = environ.get(name)
    if value is None and default is None:
        tally.missing.append(name)
        return ""
    if default is not None and not value:
        return str(default)
    tally.taken.append(name)
    return value or ""
