"""What the cluster's refusals mean, by recovery (pure): one table for whole requests, shared words for items.

A failure of the cluster is temporary, whatever it is: blocked, full, throttled, forbidden, misrouted. Only a request
that the server understood and called wrong is `Refused`; text that no OpenSearch wrote (a proxy's page) proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from agent.errors import AgentError, TemporaryError, cut

LONGEST_REASON = 600
LONGEST_RETRY_AFTER_SECONDS = 3600.0  # a proxy that says «tomorrow» must not put the agent to sleep for a day

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PERMISSION = re.compile(r"no permissions for \[((?:[^\[\]]|\[[^\]]*\])+)\]")

# Causes that hide behind a general error type, found in its reason. Only these types and only from the beginning:
# the reason of a document's own fault quotes the document, which may hold any words.
_GENERAL_TYPES = frozenset(
    {"illegal_argument_exception", "validation_exception", "action_request_validation_exception"}
    | {"index_not_found_exception", "illegal_state_exception"}
)
_REASONS = (
    (re.compile(r"(Validation Failed: \d+: )?this action would add \[\d+\] total (\w+ )?shards"), "shard_limit"),
    (re.compile(r"no write index is defined for alias|[Aa]lias \[.*\] has more than one ind"), "alias_ambiguous"),
    (re.compile(r"Limit of total fields"), "field_limit"),
    (re.compile(r"pipeline with id \[.*\] does not exist"), "missing_pipeline"),
    (re.compile(r"number of documents in the index cannot exceed"), "index_full"),
    (re.compile(r"no such index \[.*\] and \[require_alias\]"), "missing_alias"),
)
_TYPES = {
    "cluster_block_exception": "blocked",
    "index_closed_exception": "closed_index",
    "index_not_found_exception": "missing_index",
    "security_exception": "forbidden",
    "fail_processor_exception": "pipeline",
    "es_rejected_execution_exception": "throttled",
    "rejected_execution_exception": "throttled",
    "circuit_breaking_exception": "throttled",
    "search_context_missing_exception": "lost_point_in_time",
    "search_phase_execution_exception": "",
}
_STATUSES = {401: "forbidden", 403: "forbidden", 408: "timeout", 413: "too_large", 429: "throttled"}

_REMEDIES = {
    "blocked": "free disk space or lift the index block; the agent goes on by itself",
    "shard_limit": "raise cluster.max_shards_per_node, remove old indices or use a longer opensearch.partition",
    "closed_index": "open the index (POST /<index>/_open) or delete it",
    "missing_index": "run `audit-agent setup`",
    "missing_alias": "the agent creates it again; if an index bears the alias's name, delete that index",
    "alias_ambiguous": "leave exactly one index behind the partition's alias",
    "field_limit": "raise index.mapping.total_fields.limit or lower context.max_fields",
    "missing_pipeline": "create the ingest pipeline again or remove it from the index settings",
    "pipeline": "correct the index's final_pipeline or remove it from the index settings",
    "dropped": "remove the index's final_pipeline from its settings, or let it keep every document",
    "redirected": "write the address it points to in opensearch.hosts",
    "index_full": "use more shards or a shorter opensearch.partition",
    "too_large": "raise http.max_content_length of the cluster or its proxy, or lower tail.bulk_bytes",
}

# Item or request errors of these kinds say something about the cluster, never about a document.
CLUSTER_KINDS = frozenset(
    {"blocked", "closed_index", "missing_index", "missing_alias", "forbidden", "throttled", "shard_limit"}
    | {"alias_ambiguous", "missing_pipeline", "pipeline", "index_full", "too_large", "timeout"}
)


class Refused(AgentError):  # noqa: N818  it says what happened
    """Say that the server understood the request and called it wrong.

    `status` and `type` are the server's, for callers inside this package that can do something about it. Where nobody
    can, it ends a verb, but not the daemon: what stands between it and the cluster today may be gone tomorrow.
    """

    def __init__(self, what: str, *, where: str, got: str, status: int, type_name: str) -> None:
        super().__init__(what, where=where, got=got)
        self.status = status
        self.type = type_name


@dataclass(frozen=True, slots=True)
class Fault:
    """The type and reason inside an error body."""

    type: str
    reason: str


def printable(text: object, longest: int = LONGEST_REASON) -> str:
    """Return text fit for one log line: no control characters, bounded."""
    line = _CONTROL.sub(" ", str(text)).strip()
    return cut(line, longest)


def fault_of(body: object) -> Fault:
    """Return the fault an error body tells of; empty type when no OpenSearch wrote it."""
    if not isinstance(body, Mapping):
        return Fault("", printable(body or ""))
    error = body.get("error")
    if isinstance(error, Mapping):
        causes = error.get("root_cause")
        root = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], Mapping) else {}
        reason = str(error.get("reason") or "")
        deeper = str(root.get("reason") or "")
        if deeper and deeper not in reason:
            reason = f"{reason}: {deeper}" if reason else deeper
        cause = _script_cause(error)
        reason = f"{reason}: {cause}" if cause else reason
        general = _TYPES.get(str(error.get("type"))) == ""
        type_name = (root.get("type") if general else None) or error.get("type")
        return Fault(str(type_name or ""), printable(reason))
    for failure in _failures(body):
        return Fault(str(failure.get("type") or ""), printable(failure.get("reason") or ""))
    return Fault("", printable(error or body.get("message") or body.get("Message") or ""))


def _script_cause(error: Mapping[str, Any]) -> str:
    """Return why a script failed, which lies deeper than «runtime error»."""
    for found in error.get("failed_shards") or ():
        reason = found.get("reason") if isinstance(found, Mapping) else None
        if not isinstance(reason, Mapping) or reason.get("type") != "script_exception":
            continue
        cause = reason.get("caused_by")
        if isinstance(cause, Mapping):
            return str(cause.get("reason") or "")
    return ""


def kind_of(status: int, fault: Fault) -> str:
    """Return the kind of a cluster's failure, or "" when the status and fault don't name one."""
    if fault.type in _GENERAL_TYPES:
        for pattern, kind in _REASONS:
            if pattern.match(fault.reason):
                return kind
    kind = _TYPES.get(fault.type, "") or _STATUSES.get(status, "")
    if not kind and status >= 500:
        return "server_error" if status == 500 else "unavailable"
    return "redirected" if 300 <= status < 400 else kind


def translated(status: int, body: object, *, where: str, retry_after_seconds: float | None = None) -> AgentError:
    """Return the project's error for an answer whose status is not 2xx."""
    fault = fault_of(body)
    kind = kind_of(status, fault)
    if not kind and 400 <= status < 500 and fault.type:
        got = f"{fault.type}: {fault.reason}"
        return Refused("OpenSearch refuses the request", where=where, got=got, status=status, type_name=fault.type)
    got = f"{status} {fault.type}: {fault.reason}" if fault.type else f"{status} {fault.reason}".rstrip()
    what, remedy = _words(kind)
    if kind == "forbidden":
        what, got, remedy = _forbidden(status, fault, got)
    return TemporaryError(
        what, where=where, got=got, remedy=remedy, kind=kind or "refused", retry_after_seconds=retry_after_seconds
    )


def deferral(kind: str, reason: str, *, where: str) -> TemporaryError:
    """Return the project's error for items that the cluster did not take, by their kind and reason."""
    what, remedy = _words(kind)
    if kind == "forbidden":
        what, reason, remedy = _forbidden(403, Fault("security_exception", reason), reason)
    return TemporaryError(what, where=where, got=reason, remedy=remedy, kind=kind)


def retry_after_seconds(value: str | None, date: str | None) -> float | None:
    """Return what a Retry-After header asks for, in seconds; a date counts from the answer's own Date header."""
    if not value:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", value):
        return min(float(value), LONGEST_RETRY_AFTER_SECONDS)
    try:
        wait = (parsedate_to_datetime(value) - parsedate_to_datetime(date or "")).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(wait, LONGEST_RETRY_AFTER_SECONDS) if wait > 0 else None


def _failures(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the causes in a body without an `error`: refused shards of a refresh, items of a delete by query."""
    shards = body.get("_shards")
    listed = (shards.get("failures") if isinstance(shards, Mapping) else None) or body.get("failures")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    causes = [entry.get("cause") or entry.get("reason") for entry in entries]
    return [cause for cause in causes if isinstance(cause, Mapping)]


def _forbidden(status: int, fault: Fault, got: str) -> tuple[str, str, str]:
    if status == 401:
        # The body of a 401 may repeat what was sent: it is not shown.
        remedy = "correct opensearch.username and the password in opensearch.password_file"
        return "OpenSearch refuses the credentials", "401", remedy
    permission = _PERMISSION.search(fault.reason)
    if permission:
        # The rest of the text lists every role of the user: noise here.
        return "OpenSearch denies a permission", permission.group(1), "grant it to the agent's role, see deploy/"
    return "OpenSearch denies access", got, "grant the agent's role what deploy/ lists"


def _words(kind: str) -> tuple[str, str]:
    """Return what a kind of failure is called, and its remedy."""
    return _WORDS.get(kind, ("OpenSearch answered with an error", _REMEDIES.get(kind, "")))


_WORDS = {
    kind: (what, _REMEDIES.get(kind, ""))
    for kind, what in (
        ("blocked", "OpenSearch blocks writing"),
        ("throttled", "OpenSearch is overloaded"),
        ("unavailable", "OpenSearch is unavailable"),
        ("server_error", "OpenSearch failed inside"),
        ("too_large", "OpenSearch finds the request too large"),
        ("shard_limit", "OpenSearch has no room for another shard"),
        ("closed_index", "an index is closed"),
        ("missing_index", "an index is missing"),
        ("missing_alias", "a write alias is missing"),
        ("alias_ambiguous", "a write alias names more than one index"),
        ("timeout", "OpenSearch gave up waiting"),
        ("field_limit", "an index has no room for fields"),
        ("missing_pipeline", "an ingest pipeline is missing"),
        ("pipeline", "an ingest pipeline fails"),
        ("dropped", "an ingest pipeline drops documents"),
        ("index_full", "an index is full"),
        ("redirected", "OpenSearch is said to be elsewhere"),
        ("lost_point_in_time", "OpenSearch no longer holds the point in time"),
    )
}
