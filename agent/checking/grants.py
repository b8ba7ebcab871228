"""Judge the account's grants by what the present configuration asks for: neither less nor more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.checking.finding import Finding, fail, ok, warn
from agent.mysql.grants import Grant

_PERFORMANCE_SCHEMA = "performance_schema."


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Say what the configuration makes the agent do in the database.

    `evidence` is the rung in use and `wanted_evidence` the configured one; `has_performance_schema` says whether a
    grant on it would be of any use.
    """

    evidence: str
    wanted_evidence: str
    has_performance_schema: bool
    deletes: bool
    expires: bool
    follows_core: bool


def grants(found: Iterable[Grant], need: Need) -> Iterator[Finding]:
    """Judge each grant that was tried."""
    for position, grant in enumerate(found):
        # The first is SELECT on the audit table itself, the last the one on Core's settings.
        yield _judged(grant, _needed(grant, need, is_table=position == 0), need)


def needless(found: Iterable[str]) -> Iterator[Finding]:
    """Judge privileges beyond any use."""
    listed = list(found)
    if not listed:
        yield ok("needless privileges", "none")
    for privilege in listed:
        remedy = f"REVOKE {privilege} FROM this user; deploy/grants.sql holds all it needs"
        yield warn("needless privileges", f"the account has {privilege}", remedy)


def exact_evidence_grants(found: Iterable[Grant], *, has_performance_schema: bool) -> dict[str, str]:
    """Return the statements that would open the exact evidence of performance_schema, by table."""
    if not has_performance_schema:
        return {}
    return {grant.on: grant.statement for grant in found if _is_probe(grant) and not grant.is_held}


def _needed(grant: Grant, need: Need, *, is_table: bool) -> str:
    """Return what the grant is needed for now, or an empty string."""
    if is_table:
        return "shipping"
    if grant.privilege == "DELETE":
        return "retention in mode enforce" if need.deletes else ""
    if _is_probe(grant):
        asked = need.wanted_evidence == "metadata_locks" or (
            need.wanted_evidence == "auto" and need.evidence != "metadata_lock_info" and need.has_performance_schema
        )
        return "exact evidence" if asked else ""
    if grant.privilege == "PROCESS":
        asked = need.wanted_evidence == "innodb_trx" or need.evidence == "innodb_trx"
        return "evidence innodb_trx" if asked else ""
    return "follow_core_setting" if need.follows_core else ""


def _judged(grant: Grant, purpose: str, need: Need) -> Finding:
    name = f"grant {grant.privilege} ON {grant.on.replace('`', '')}"
    if grant.is_held:
        spare = "DELETE" if not need.expires else "PROCESS"
        if not purpose and grant.privilege in (spare, "PROCESS"):
            revoke = grant.statement.replace("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ", 1)
            return warn(name, "granted, and of no use to this configuration", revoke)
        return ok(name, f"granted, for {purpose}" if purpose else "granted")
    if not purpose:
        return ok(name, "not granted, and not needed by this configuration")
    got = f"not granted, needed for {purpose}" + (f": {grant.got}" if grant.got else "")
    # Without exact evidence or Core's setting the agent goes on, more slowly or keeping more.
    goes_on = purpose == "follow_core_setting" or (purpose == "exact evidence" and need.wanted_evidence == "auto")
    return warn(name, got, grant.statement) if goes_on else fail(name, got, grant.statement)


def _is_probe(grant: Grant) -> bool:
    return grant.on.startswith(_PERFORMANCE_SCHEMA)
