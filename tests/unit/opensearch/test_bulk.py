"""Triage: a document is rejected only when the server names the document."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.opensearch.bulk import INDEXED, Verdict, outcomes, triage

SHARDS = "Validation Failed: 1: this action would add [2] total shards, but this cluster currently has [10]/[10] maximum shards open;"


@pytest.mark.parametrize("status", [200, 201, 409])
def test_taken_items_are_indexed(status: int) -> None:
    assert triage(status, "version_conflict_engine_exception" if status == 409 else "", "") is INDEXED


@pytest.mark.parametrize(
    ("status", "error_type", "reason", "kind"),
    [
        (429, "rejected_execution_exception", "rejected execution of coordinating operation", "throttled"),
        (429, "circuit_breaking_exception", "[parent] Data too large", "throttled"),
        (429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage …]", "blocked"),
        (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];", "blocked"),
        (403, "security_exception", "no permissions for [indices:data/write/bulk[s]]", "forbidden"),
        (401, "", "", "forbidden"),
        (400, "validation_exception", SHARDS, "shard_limit"),
        (400, "validation_exception", SHARDS.replace("total", "total LOCAL_ONLY"), "shard_limit"),
        (400, "illegal_argument_exception", SHARDS.partition(": 1: ")[2], "shard_limit"),
        (400, "index_closed_exception", "closed", "closed_index"),
        (400, "illegal_argument_exception", "no write index is defined for alias [x].", "alias_ambiguous"),
        (400, "illegal_argument_exception", "pipeline with id [p] does not exist", "missing_pipeline"),
        (400, "illegal_argument_exception", "number of documents in the index cannot exceed 2147483519", "index_full"),
        (
            404,
            "index_not_found_exception",
            "no such index [x] and [require_alias] request flag is [true]",
            "missing_alias",
        ),
        (500, "null_pointer_exception", "", "server_error"),
        (503, "unavailable_shards_exception", "primary shard is not active", "unavailable"),
        (504, "", "", "unavailable"),
        (500, "fail_processor_exception", "no way", "pipeline"),
        (400, "script_exception", "runtime error", "pipeline"),
        (413, "", "", "too_large"),
        (418, "", "", "unknown"),
        (400, "", "no type: who knows who wrote this", "unknown"),
    ],
)
def test_what_the_cluster_did_is_deferred(status: int, error_type: str, reason: str, kind: str) -> None:
    outcome = triage(status, error_type, reason)
    assert (outcome.verdict, outcome.kind) == (Verdict.DEFERRED, kind)


@pytest.mark.parametrize(
    ("error_type", "reason", "kind"),
    [
        ("mapper_parsing_exception", "failed to parse field [context.a] of type [keyword]", "mapping"),
        ("strict_dynamic_mapping_exception", "mapping set to strict", "mapping"),
        ("illegal_argument_exception", "Document contains at least one immense term in field", "value"),
        ("illegal_argument_exception", "Limit of total fields [5000] has been exceeded", "field_limit"),
        ("a_type_of_next_year_exception", "the document is odd", "other"),
    ],
)
def test_what_the_document_did_is_rejected(error_type: str, reason: str, kind: str) -> None:
    outcome = triage(400, error_type, reason)
    assert (outcome.verdict, outcome.kind) == (Verdict.REJECTED, kind)
    assert error_type in outcome.reason


@pytest.mark.parametrize("words", [SHARDS, "no write index is defined for alias", "Limit of total fields"])
def test_a_document_cannot_pass_its_fault_off_as_the_clusters_by_quoting_it(words: str) -> None:
    preview = f"failed to parse field [context.a] of type [long]. Preview of field's value: '{words}'"
    assert triage(400, "mapper_parsing_exception", preview).verdict is Verdict.REJECTED
    assert triage(400, "mapper_parsing_exception", words).verdict is Verdict.REJECTED
    assert triage(400, "illegal_argument_exception", f"value [{words}] is odd").verdict is Verdict.REJECTED


KEYS = ["shop:1", "shop:2", "shop:3"]


def item(status: int, error: dict[str, Any] | None = None, **told: str) -> dict[str, Any]:
    return {"index": {"status": status, **({"error": error} if error else {}), **told}}


def test_an_answer_without_errors_has_no_exceptions() -> None:
    assert outcomes({"errors": False, "items": [item(201)] * 3}, KEYS[:3]) == {}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_every_position_keeps_its_own_outcome(position: int) -> None:
    items = [item(201), item(409, {"type": "version_conflict_engine_exception", "reason": ""}), item(200)]
    items[position] = item(400, {"type": "mapper_parsing_exception", "reason": "no"})
    found = outcomes({"errors": True, "items": items}, KEYS[:3])
    assert {at: outcome.verdict for at, outcome in found.items()} == {position: Verdict.REJECTED}


def test_the_cause_is_told_to_people_but_has_no_vote() -> None:
    error = {"type": "mapper_parsing_exception", "reason": "failed", "caused_by": {"reason": f"{SHARDS}\n\x1b[31m"}}
    outcome = outcomes({"errors": True, "items": [item(400, error)]}, KEYS[:1])[0]
    assert outcome.verdict is Verdict.REJECTED
    assert "this action would add" in outcome.reason
    assert "\n" not in outcome.reason
    assert "\x1b" not in outcome.reason


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": False, "items": [item(201)]},
        {"errors": False, "items": [item(201)] * 3},
        {"errors": False},
        {"items": [item(201)] * 2},
        {"errors": True, "items": [item(201), {}]},
        {"errors": True, "items": [item(201), {"index": {}}]},
        {"errors": True, "items": [item(201), None]},
        [],
        {},
    ],
)
def test_an_answer_that_is_not_whole_says_nothing_of_any_item(answer: Any) -> None:
    with pytest.raises(TemporaryError) as failure:
        outcomes(answer, KEYS[:2])
    assert failure.value.kind == "short_answer"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_item_counts_whatever_the_flag_above_it_says(position: int) -> None:
    items = [item(201)] * 3
    items[position] = item(429, {"type": "rejected_execution_exception", "reason": "full"})
    assert list(outcomes({"errors": False, "items": items}, KEYS)) == [position]


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0), (0, 1, 1)])
def test_items_about_other_documents_say_nothing_of_ours(order: tuple[int, ...]) -> None:
    items = [item(201, _id=KEYS[place], result="created") for place in order]
    with pytest.raises(TemporaryError) as failure:
        outcomes({"errors": False, "items": items}, KEYS)
    assert failure.value.kind == "swapped_answer"
    assert failure.value.remedy


@pytest.mark.parametrize("result", ["created", "updated"])
def test_items_about_our_documents_are_believed(result: str) -> None:
    items = [item(201, _id=key, result=result) for key in KEYS]
    assert outcomes({"errors": False, "items": items}, KEYS) == {}


def test_a_document_that_a_pipeline_dropped_is_not_indexed() -> None:
    items = [item(201, result="created"), item(200, result="noop")]
    (outcome,) = outcomes({"errors": False, "items": items}, KEYS[:2]).values()
    assert (outcome.verdict, outcome.kind) == (Verdict.DEFERRED, "dropped")


def test_a_delete_of_what_is_not_there_is_done() -> None:
    gone = {"delete": {"_id": KEYS[0], "status": 404, "result": "not_found"}}
    assert outcomes({"errors": False, "items": [gone]}, KEYS[:1]) == {}


def test_an_error_flag_with_clean_items_is_believed_item_by_item() -> None:
    assert outcomes({"errors": True, "items": [item(200), item(201)]}, KEYS[:2]) == {}
