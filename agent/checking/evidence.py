"""Judge which evidence proves a missing id dead, and why it is not a better one."""

from __future__ import annotations

from collections.abc import Mapping

from agent.checking.finding import Finding, fail, ok, warn

_NAME = "evidence"
_WAIT = "set tail.gaps.evidence: grace to wait by the clock instead"
_EXACT = ("metadata_locks", "metadata_lock_info")


def evidence(*, wanted: str, taken: str, reason: str, objection: str | None, grants: Mapping[str, str]) -> Finding:
    """Judge the rung in use. `grants` are the statements that would open the exact rung, by what is missing."""
    if wanted == "grace":
        return ok(_NAME, "grace, as configured: a gap waits for the clock, its ids stay watched")
    if objection:
        told = f"no probe can be trusted here: {objection}"
        remedy = f"name the writer in source.url, or {_WAIT}"
        return warn(_NAME, f"auto takes grace: {told}", remedy) if wanted == "auto" else fail(_NAME, told, remedy)
    if wanted not in {"auto", taken}:
        return fail(_NAME, f"{wanted} does not work here: {reason}", _grant(grants) or f"set auto, or {_WAIT}")
    if taken in _EXACT:
        return ok(_NAME, f"{taken}: {reason}")
    if wanted == taken:
        return ok(_NAME, f"{taken}, as configured: {reason}")
    remedy = _grant(grants) or f"enable what the reasons name, or {_WAIT}"
    what = "holds needlessly for writers of other tables" if taken == "innodb_trx" else "waits by the clock"
    return warn(_NAME, f"auto takes {taken}, which {what}: {reason}", remedy)


def _grant(grants: Mapping[str, str]) -> str:
    return "; ".join(grants.values())
