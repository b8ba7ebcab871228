"""The catalogue admits paths once, tells each partition what it lacks, and yields to the server."""

from __future__ import annotations

from typing import Any

from agent.mapping.catalogue import Catalogue
from agent.mapping.leaf import NUMBER, STRING
from agent.mapping.rules import FieldRules
from agent.mapping.walk import Walk, fits

LEAF = {"type": "keyword", "ignore_above": 1024, "copy_to": ["context_text"]}


def walked(catalogue: Catalogue, *contexts: dict[str, Any], partition: str = "") -> Walk:
    for context in contexts:
        walk = Walk(catalogue, exceptions=catalogue.exceptions(partition), today="2026-11-23")
        walk.kept = walk.route("context", context)  # type: ignore[attr-defined]
    return walk


def properties(**context: Any) -> dict[str, Any]:
    return {"context": {"properties": context}}


def context_of(found: dict[str, Any]) -> dict[str, Any]:
    return found.get("context", {}).get("properties", {})


def test_changes_are_additive_and_complete() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": "x", "o": {"b": True}})
    before = catalogue.version
    walked(catalogue, {"a": 5, "n": 1})

    changes = context_of(catalogue.changes_since(before))

    assert {"a", "n"} == changes.keys()
    assert {"text", "number"} == changes["a"]["fields"].keys()
    assert changes["a"]["copy_to"] == "context_text"
    assert changes["a"]["meta"] == {"first_seen": "2026-11-23"}
    assert {"a", "o", "n"} == context_of(catalogue.properties()).keys()
    assert "fields" not in context_of(catalogue.properties())["o"]["properties"]["b"]
    assert catalogue.changes_since(catalogue.version) == {}


def test_a_kind_seen_before_changes_nothing() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": "42"})
    version = catalogue.version
    walked(catalogue, {"a": 7}, {"a": "x"}, {"a": ["y", 2, None]})

    assert catalogue.version == version


def test_the_budget_counts_objects_and_leaves_and_is_never_exceeded() -> None:
    catalogue = Catalogue(max_fields=3)
    walk = walked(catalogue, {"o": {"a": 1, "b": 2}, "c": 3})

    assert (catalogue.paths, walk.overflow.paths, walk.overflow.reasons) == (3, ["c"], {"budget": 1})


def test_a_mapping_read_back_is_known_and_changes_nothing() -> None:
    first = Catalogue()
    walked(first, {"a": "x", "o": {"b": 1}, "l": [{"z": None, "y": "2"}]})
    second = Catalogue()
    second.merge_mapping(first.properties(), "2026.11")

    assert second.properties() == first.properties()
    assert fits(second.tree["context"], {"a": "y", "o": {"b": 2}, "l": [{"y": "3"}]})
    assert second.exceptions("2026.11") is None


def test_a_path_nobody_took_from_us_yet_takes_the_shape_of_the_server() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": {"b": 1}})
    catalogue.merge_mapping(properties(a=LEAF), "2026.11")

    assert context_of(catalogue.properties())["a"]["type"] == "keyword"
    assert catalogue.paths == 1
    assert catalogue.exceptions("2026.11") is None


def test_a_path_others_hold_already_is_an_exception_of_one_partition() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": 1})
    catalogue.confirm(catalogue.version)
    catalogue.merge_mapping(properties(a={"properties": {"b": LEAF}}), "2026.12")

    here = walked(catalogue, {"a": 5}, partition="2026.12")
    there = walked(catalogue, {"a": 5}, partition="2026.11")

    assert (here.overflow.paths, there.overflow.paths) == (["a"], [])
    assert "a" not in context_of(catalogue.changes_since(0, "2026.12"))
    assert "a" in context_of(catalogue.changes_since(0, "2026.11"))


def test_another_type_of_leaf_stays_until_rebuild_and_takes_its_values() -> None:
    catalogue = Catalogue(rules=FieldRules(types={"duration_ms": "long"}))
    catalogue.merge_mapping(properties(duration_ms=LEAF), "2026.10")

    assert catalogue.changes_since(0, "2026.10") == {}
    assert context_of(catalogue.properties("2026.11"))["duration_ms"]["type"] == "long"
    assert walked(catalogue, {"duration_ms": 5}, partition="2026.10").overflow.paths == []


def test_a_frozen_partition_gets_only_what_it_holds() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": 1})
    catalogue.freeze(properties(a=LEAF), "2026.11")

    walk = walked(catalogue, {"a": 1, "b": 2}, partition="2026.11")

    assert (walk.kept, walk.overflow.paths) == ({"a": 1}, ["b"])  # type: ignore[attr-defined]
    assert catalogue.changes_since(0, "2026.11") == {}


def test_native_types_are_there_from_the_start_and_take_every_scalar() -> None:
    types = {"duration_ms": "long", "server.ip": "ip", "message": "text", "snapshot_id": "keyword"}
    catalogue = Catalogue(rules=FieldRules(types=types))  # type: ignore[arg-type]
    found = context_of(catalogue.properties())

    assert found["duration_ms"] == {"type": "long", "ignore_malformed": True, "copy_to": "context_text"}
    assert found["server"]["properties"]["ip"]["type"] == "ip"
    assert found["message"] == {"type": "text", "norms": False, "copy_to": "context_text"}
    assert found["snapshot_id"] == {"type": "keyword", "ignore_above": 1024, "copy_to": "context_text"}
    assert fits(catalogue.tree["context"], {"duration_ms": "soon", "snapshot_id": "7", "server": {"ip": None}})


def test_no_path_is_admitted_deeper_than_the_server_allows() -> None:
    assert Catalogue(max_depth=50).max_depth == 18


def test_fields_lists_leaves_with_kinds_and_origin() -> None:
    catalogue = Catalogue(rules=FieldRules(types={"n": "long"}))
    walked(catalogue, {"o": {"b": "42"}, "t": True})
    listed = [(field.path, field.kinds, field.native, field.first_seen) for field in catalogue.fields()]

    assert listed == [
        ("n", (), "long", None),
        ("o.b", ("string", "number"), None, "2026-11-23"),
        ("t", ("boolean",), None, "2026-11-23"),
    ]


def test_nothing_at_a_dotted_key_through_a_leaf_is_moved_as_the_server_refuses_it() -> None:
    catalogue = Catalogue()
    walked(catalogue, {"a": 1})

    assert not fits(catalogue.tree["context"], {"a.b": []})
    assert walked(catalogue, {"a.b": []}).kept == {}  # type: ignore[attr-defined]
    assert fits(catalogue.tree["context"], {"new": [], "other": None})


def test_extra_columns_cost_no_budget_and_are_not_copied() -> None:
    catalogue = Catalogue(max_fields=0)
    catalogue.admit_column("project_id")
    Walk(catalogue, today="2026-11-23").route("extra", {"project_id": 7})
    leaf = catalogue.properties()["extra"]["properties"]["project_id"]

    assert ("number" in leaf["fields"], "copy_to" in leaf) == (True, False)
    assert STRING | NUMBER == 3


def test_a_budget_lowered_below_what_exists_keeps_what_exists_and_admits_nothing() -> None:
    first = Catalogue()
    walked(first, {"a": 1, "b": "x", "o": {"c": 2}})
    lowered = Catalogue(max_fields=2)
    lowered.merge_mapping(first.properties(), "2026.11")
    walk = walked(lowered, {"a": 2, "b": "5", "o": {"c": 3, "d": 4}, "e": 5})

    assert (lowered.paths, walk.overflow.paths) == (4, ["o.d", "e"])
    assert "number" in context_of(lowered.properties())["b"]["fields"], "a known path still takes a new kind"


def test_a_leaf_made_by_hand_is_not_sent_again_and_takes_its_values() -> None:
    for parameters in ({"doc_values": False}, {"normalizer": "lowercase"}, {"fields": {"text": {"type": "keyword"}}}):
        catalogue = Catalogue()
        catalogue.merge_mapping(properties(a={**LEAF, **parameters}), "2026.11")
        walk = walked(catalogue, {"a": 5, "b": 1}, partition="2026.11")

        assert (walk.kept, walk.overflow.paths) == ({"a": 5, "b": 1}, [])  # type: ignore[attr-defined]
        assert context_of(catalogue.changes_since(0, "2026.11")).keys() == {"b"}


def test_what_takes_neither_values_nor_objects_is_an_exception_and_no_path_of_the_catalogue() -> None:
    for made in ({"type": "alias", "path": "action"}, {"type": "nested"}, {"type": "flat_object"}, {"enabled": False}):
        catalogue = Catalogue()
        catalogue.merge_mapping(properties(a=made), "2026.11")
        here = walked(catalogue, {"a": 5, "b": 1}, {"a": {"x": 5}}, partition="2026.11")

        assert (here.overflow.paths, catalogue.paths) == (["a.x"], 1)
        assert walked(catalogue, {"a": 5}, partition="2026.12").overflow.paths == []


def test_a_dropped_path_that_a_partition_still_maps_costs_its_other_rows_nothing() -> None:
    catalogue = Catalogue(rules=FieldRules(drop=["noise"], types={"noise.x": "long"}))
    catalogue.merge_mapping(properties(noise={"properties": {"x": LEAF}}, a=LEAF), "2026.11")

    assert catalogue.exceptions("2026.11") is None
    assert "noise" not in context_of(catalogue.properties())
    assert not fits(catalogue.tree["context"], {"noise": {"x": 1}})
