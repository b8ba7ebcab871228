"""Documents in, outcomes out: one bulk request, judged item by item.

`triage` is the whole decision and pure: a document is rejected only when the server names the document; a failure of
the cluster defers it, whatever words it uses. Sending again is always safe: the same `_id` in the same partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.answers import CLUSTER_KINDS, Fault, Refused, kind_of, printable
from agent.opensearch.client import Cluster

# Statuses always, to count the items; reasons only exist on failed ones. 26 bytes an item when all went well.
_FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"


class Verdict(StrEnum):
    """What became of an item: taken, the document's own fault, try again later."""

    INDEXED = "indexed"
    REJECTED = "rejected"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one item, with a short stable kind and the server's reason when it was not indexed.

    A rejected item of kind `field_limit` names the index as much as the document: when every rung of the ladder ends
    there, it is deferred, not dead.
    """

    verdict: Verdict
    kind: str = ""
    reason: str = ""


INDEXED = Outcome(Verdict.INDEXED)


class Bulk(Protocol):
    """Send documents. Idempotent by `_id`; safe for use by several threads."""

    def send(self, body: bytes, count: int) -> Mapping[int, Outcome]:
        """Post `count` actions as NDJSON and return, by position, the items that were not indexed.

        Raises TemporaryError when the request as a whole failed or its answer cannot be trusted: then nothing is
        known of any item, and all are sent again.
        """
        ...


class ClusterBulk:
    """The bulk endpoint; actions name a partition's write alias and never create an index."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def send(self, body: bytes, count: int) -> Mapping[int, Outcome]:
        """Post the request; see `Bulk`."""
        try:
            answer = self._cluster.call(
                "POST", "/_bulk", params={"require_alias": "true", "filter_path": _FILTER}, body=body
            )
        except Refused as refusal:
            # The request as a whole was called wrong: a proxy or a setting in between. No document is to blame.
            raise TemporaryError(
                "OpenSearch refuses bulk requests", where=refusal.where, got=refusal.got, kind="refused"
            ) from refusal
        return outcomes(answer, count)


def outcomes(answer: Any, count: int) -> Mapping[int, Outcome]:
    """Return the items that were not indexed, by position. Raises TemporaryError for an answer that isn't whole."""
    items = answer.get("items") if isinstance(answer, dict) else None
    met = len(items) if isinstance(items, list) else 0
    if not isinstance(answer, dict) or "errors" not in answer or met != count:
        got = f"{met} items for {count} actions"
        raise TemporaryError("the bulk answer is not whole", where="POST /_bulk", got=got, kind="short_answer")
    if answer["errors"] is False:
        return {}
    found = {}
    for position, item in enumerate(items or ()):
        outcome = _outcome(item)
        if outcome is not INDEXED:
            found[position] = outcome
    return found


def triage(status: int, error_type: str, reason: str) -> Outcome:
    """Judge one item by its status, error type and reason."""
    if 200 <= status < 300 or status == 409:
        # 409: an earlier try of the same document got through.
        return INDEXED
    kind = kind_of(status, Fault(error_type, reason))
    if status == 404:
        kind = "missing_alias"
    if kind in CLUSTER_KINDS or status >= 500 or status == 429:
        return Outcome(Verdict.DEFERRED, kind, reason)
    if status == 400 and error_type:
        return Outcome(Verdict.REJECTED, kind or _DOCUMENT_KINDS.get(error_type, "other"), f"{error_type}: {reason}")
    return Outcome(Verdict.DEFERRED, kind or "unknown", reason or f"status {status}")


_DOCUMENT_KINDS = {
    "mapper_parsing_exception": "mapping",
    "document_parsing_exception": "mapping",
    "strict_dynamic_mapping_exception": "mapping",
    "illegal_argument_exception": "value",
    "max_bytes_length_exceeded_exception": "value",
    "parsing_exception": "parse",
    "parse_exception": "parse",
    "x_content_parse_exception": "parse",
    "not_x_content_exception": "parse",
    "json_parse_exception": "parse",
}


def _outcome(item: Any) -> Outcome:
    result = next(iter(item.values()), None) if isinstance(item, dict) else None
    status = result.get("status") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(status, int):
        raise TemporaryError(
            "the bulk answer is not whole", where="POST /_bulk", got=printable(item), kind="short_answer"
        )
    error = result.get("error")
    if not isinstance(error, dict):
        return triage(status, "", "")
    outcome = triage(status, str(error.get("type") or ""), printable(error.get("reason") or ""))
    cause = error.get("caused_by")
    if outcome.verdict is not Verdict.REJECTED or not isinstance(cause, dict) or not cause.get("reason"):
        return outcome
    # The cause explains to a person what is wrong with the document; it has no say in the verdict.
    return replace(outcome, reason=printable(f"{outcome.reason}: {cause['reason']}"))
