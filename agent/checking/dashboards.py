"""Judge what is installed in Dashboards beside what this version ships and what the index holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.checking.finding import Finding, ok, warn
from agent.content.fields import FieldDrift
from agent.content.report import Report

_SHOWN = 5


def objects(found: Report, *, patterns: frozenset[str], url: str) -> Iterator[Finding]:
    """Judge saved objects; index patterns grow by themselves and are judged by their fields."""
    drifted = [failure for failure in found.failed if failure.name not in patterns or "missing" in failure.reason]
    for failure in drifted:
        yield warn(f"dashboards {failure.name}", failure.reason, f"`audit-agent setup --dashboards {url}`")
    if not drifted:
        yield ok("dashboards", f"{len(found.installed) + len(found.failed)} objects as shipped")


def fields(found: Mapping[str, FieldDrift], *, url: str) -> Iterator[Finding]:
    """Judge the field lists of index patterns: a field that is not listed cannot be used in a visualization."""
    for pattern, drift in found.items():
        name = f"index pattern {pattern}"
        if not drift:
            yield ok(name, "knows every field")
            continue
        new, other = _listed(drift.missing), _listed(drift.changed)
        told = "; ".join(
            part for part in (new and f"does not know {new}", other and f"knows otherwise {other}") if part
        )
        yield warn(name, told, f"`audit-agent setup --dashboards {url} --refresh-fields`")


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
