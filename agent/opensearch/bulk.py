"""Documents in, outcomes out: one bulk request, judged item by item.

`triage` is the whole decision and pure: a document is rejected only when the server names the document; a failure of
the cluster defers it, whatever words it uses. Sending again is always safe: the same `_id` in the same partition.
An item is believed about the document whose `_id` it names and about no other, so that neither an answer that was
swapped on its way nor an ingest pipeline that drops or renames what it is given can pass a document off as indexed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.answers import CLUSTER_KINDS, Fault, Refused, kind_of, printable
from agent.opensearch.client import Cluster

# What an item is about and what became of it always, reasons only on failed ones: 64 bytes an item when all went well.
_FILTER = (
    "errors,items.*._id,items.*.status,items.*.result,"
    "items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
)
# A person's default pipeline on one of our indices would make the document something else than a function of its row.
_PARAMETERS = {"require_alias": "true", "pipeline": "_none", "filter_path": _FILTER}


_WELL = frozenset(((201, "created"), (200, "updated")))


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

    def send(self, body: bytes, keys: Sequence[str]) -> Mapping[int, Outcome]:
        """Post NDJSON whose actions are about `keys`, in their order; return by position the items not indexed.

        Raises TemporaryError when the request as a whole failed or its answer cannot be trusted: then nothing is
        known of any item, and all are sent again.
        """
        ...


class ClusterBulk:
    """The bulk endpoint; actions name a partition's write alias and never create an index."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def send(self, body: bytes, keys: Sequence[str]) -> Mapping[int, Outcome]:
        """Post the request; see `Bulk`."""
        try:
            answer = self._cluster.call("POST", "/_bulk", params=_PARAMETERS, body=body)
        except Refused as refusal:
            # The request as a whole was called wrong: a proxy or a setting in between. No document is to blame.
            raise TemporaryError(
                "OpenSearch refuses bulk requests", where=refusal.where, got=refusal.got, kind="refused"
            ) from refusal
        return outcomes(answer, keys)


def outcomes(answer: Any, keys: Sequence[str]) -> Mapping[int, Outcome]:
    """Return the items that were not indexed, by position. Raises TemporaryError for an answer that isn't whole."""
    items = answer.get("items") if isinstance(answer, dict) else None
    met = len(items) if isinstance(items, list) else 0
    if items is None or "errors" not in answer or met != len(keys):
        raise _not_whole(f"{met} items for {len(keys)} actions")
    if _all_taken(items, keys):
        return {}
    found = {}
    # The items have the say, not the flag above them.
    for position, (item, key) in enumerate(zip(items, keys, strict=True)):
        outcome = _outcome(item, key)
        if outcome is not INDEXED:
            found[position] = outcome
    return found


def _all_taken(items: list[Any], keys: Sequence[str]) -> bool:
    """Say, at a fifth of the cost of looking at each, whether every item is plainly well; False may mean anything."""
    try:
        told = [item["index"] for item in items]
        return [each["_id"] for each in told] == keys and {(each["status"], each["result"]) for each in told} <= _WELL
    except (KeyError, TypeError):
        return False


def triage(status: int, error_type: str, reason: str) -> Outcome:
    """Judge one item by its status, error type and reason."""
    if 200 <= status < 300 or status == 409:
        # 409: an earlier try of the same document got through.
        return INDEXED
    kind = kind_of(status, Fault(error_type, reason))
    if status == 404:
        kind = "missing_alias"
    if error_type == "script_exception":
        # Nothing of ours runs a script on a document: a pipeline of the index's does.
        kind = "pipeline"
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


def _outcome(item: Any, key: str) -> Outcome:
    told = next(iter(item.values()), None) if isinstance(item, dict) else None
    status = told.get("status") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(status, int):
        raise _not_whole(printable(item))
    if told.get("_id", key) != key:
        raise TemporaryError(
            "the bulk answer is about other documents",
            where="POST /_bulk",
            got=printable(f"{told['_id']} for {key}"),
            remedy="remove the final_pipeline that changes _id from the index, or look for a proxy that swaps answers",
            kind="swapped_answer",
        )
    error = told.get("error")
    if not isinstance(error, dict):
        return _taken(status, told.get("result"))
    outcome = triage(status, str(error.get("type") or ""), printable(error.get("reason") or ""))
    cause = error.get("caused_by")
    if outcome.verdict is not Verdict.REJECTED or not isinstance(cause, dict) or not cause.get("reason"):
        return outcome
    # The cause explains to a person what is wrong with the document; it has no say in the verdict.
    return replace(outcome, reason=printable(f"{outcome.reason}: {cause['reason']}"))


def _taken(status: int, result: object) -> Outcome:
    """Judge an item without an error."""
    if result == "noop":
        return Outcome(Verdict.DEFERRED, "dropped", "its pipeline dropped the document")
    # A delete of what is not there is done.
    return INDEXED if result == "not_found" else triage(status, "", "")


def _not_whole(got: str) -> TemporaryError:
    return TemporaryError("the bulk answer is not whole", where="POST /_bulk", got=got, kind="short_answer")
