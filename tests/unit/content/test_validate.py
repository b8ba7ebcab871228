"""The validator: silent on the shipped file, and it catches one broken copy of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.content.saved_objects import canonical, parse
from agent.content.validate import validate

FILE = (Path(__file__).parents[3] / "dashboards" / "impulse-audit.ndjson").read_text(encoding="utf-8")
OVERVIEW = ("dashboard", "impulse-audit-overview")
CHART = ("visualization", "impulse-audit-vis-events-by-severity")
CONTROLS = ("visualization", "impulse-audit-vis-controls")
VEGA = ("visualization", "impulse-audit-vis-delay")
TAB = ("search", "impulse-audit-search-tab")
TRIAGE = ("search", "impulse-audit-search-triage")
PATTERN = ("index-pattern", "impulse-audit")

Change = Callable[[dict[str, Any]], None]


def broken(key: tuple[str, str], change: Change) -> str:
    lines = [json.loads(line) for line in FILE.splitlines()]
    [target] = [line for line in lines if (line["type"], line["id"]) == key]
    change(target)
    return "\n".join(json.dumps(line) for line in lines)


def inside(name: str, change: Callable[[Any], None]) -> Change:
    """Change what an attribute holds as JSON text."""

    def apply(line: dict[str, Any]) -> None:
        holder = line["attributes"]
        if name == "searchSourceJSON":
            holder = holder["kibanaSavedObjectMeta"]
        value = json.loads(holder[name])
        change(value)
        holder[name] = json.dumps(value)

    return apply


def put(*path: Any, to: Any) -> Callable[[Any], None]:
    def apply(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = to

    return apply


def drop(*path: Any) -> Callable[[Any], None]:
    def apply(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        del value[path[-1]]

    return apply


BROKEN = [
    (OVERVIEW, put("type", to="lens"), "unknown type lens"),
    (OVERVIEW, drop("references", 0), "names the reference panel_0, which it does not have"),
    (OVERVIEW, put("references", 0, "id", to="nowhere"), "refers to visualization:nowhere"),
    (OVERVIEW, put("references", 0, "name", to="panel_1"), "two references are named panel_1"),
    (OVERVIEW, drop("references", 0, "type"), "a reference needs name, type and id"),
    (OVERVIEW, put("migrationVersion", "dashboard", to="7.9.4"), "newer than 7.9.3"),
    (OVERVIEW, put("migrationVersion", to={}), "must state a version"),
    (OVERVIEW, put("attributes", "panelsJSON", to="[{"), "panelsJSON does not parse"),
    (OVERVIEW, put("attributes", "panelsJSON", to="{}"), "must hold a JSON list"),
    (OVERVIEW, put("attributes", "panelsJSON", to=[]), "must be JSON held as text"),
    (OVERVIEW, drop("attributes", "panelsJSON"), "panelsJSON is missing"),
    (OVERVIEW, drop("attributes", "title"), "has no title"),
    (OVERVIEW, inside("panelsJSON", put(0, "gridData", "w", to=13)), "panels 1 and 2 overlap"),
    (OVERVIEW, inside("panelsJSON", put(3, "gridData", "w", to=13)), "does not fit into 48 columns"),
    (OVERVIEW, inside("panelsJSON", put(0, "gridData", "x", to=-1)), "does not fit"),
    (OVERVIEW, inside("panelsJSON", put(0, "gridData", "h", to=0)), "does not fit"),
    (OVERVIEW, inside("panelsJSON", put(0, "gridData", "h", to="8")), "gridData needs whole numbers"),
    (OVERVIEW, inside("panelsJSON", put(0, "gridData", "i", to="9")), "gridData.i must be its panelIndex"),
    (OVERVIEW, inside("panelsJSON", put(0, "panelIndex", to="2")), "the same panelIndex"),
    (OVERVIEW, inside("panelsJSON", put(0, "version", to="latest")), "version must be"),
    (OVERVIEW, inside("panelsJSON", put(0, "id", to="x")), "by panelRefName, not by id"),
    (CHART, put("attributes", "visState", to="{"), "visState does not parse"),
    (CHART, put("attributes", "uiStateJSON", to="}"), "uiStateJSON does not parse"),
    (CHART, put("references", 0, "type", to="search"), "refers to search:impulse-audit"),
    (CHART, inside("visState", put("type", to="lens")), "visState.type 'lens'"),
    (CHART, inside("visState", put("title", to="other")), "visState.title differs"),
    (
        CHART,
        inside("visState", put("aggs", 2, "params", "field", to="severty")),
        "severty, unknown to the index pattern",
    ),
    (CHART, inside("visState", put("aggs", 2, "params", "field", to="detail")), "cannot aggregate detail"),
    (CHART, inside("visState", put("aggs", 1, "params", "field", to="severity")), "needs date; severity is string"),
    (CHART, inside("visState", put("aggs", 1, "params", to={})), "params.field is missing"),
    (CHART, inside("visState", put("aggs", 1, "type", to="tems")), "unknown type 'tems'"),
    (CHART, inside("visState", put("aggs", 1, "schema", to="bucket")), "schema 'bucket' of a histogram"),
    (CHART, inside("visState", put("aggs", 1, "id", to="1")), "all different"),
    (CHART, inside("visState", put("aggs", 2, "params", "orderBy", to="7")), "orderBy '7' is no metric"),
    (CHART, inside("visState", drop("aggs", 0)), "aggs have no metric"),
    (CHART, inside("visState", drop("aggs", 0, "enabled")), "enabled is missing"),
    (CHART, inside("searchSourceJSON", put("index", to="impulse-audit")), "holds an id"),
    (CHART, inside("searchSourceJSON", drop("indexRefName")), "names no index pattern"),
    (CHART, inside("searchSourceJSON", put("query", "language", to="sql")), "neither kuery nor lucene"),
    (CHART, inside("searchSourceJSON", put("query", "query", to="severity:(error")), "query does not parse"),
    (CHART, inside("searchSourceJSON", put("query", "query", to="sevrity:error")), "sevrity, unknown"),
    (CONTROLS, inside("visState", put("params", "controls", 0, "indexPattern", to="x")), "must name a reference"),
    (
        CONTROLS,
        inside("visState", put("params", "controls", 0, "fieldName", to="nobody")),
        "control uses the field nobody",
    ),
    (CONTROLS, inside("visState", put("params", "controls", 0, "type", to="knob")), "a control's type"),
    (CONTROLS, inside("visState", put("params", "controls", to=[])), "has no controls"),
    (VEGA, inside("visState", put("params", "spec", to="{ hjson: yes }")), "Vega spec does not parse"),
    (VEGA, inside("visState", put("params", "spec", to="{}")), "names no schema"),
    (TAB, put("attributes", "columns", to="action"), "columns and sort as lists"),
    (TAB, put("attributes", "columns", to=["actoin"]), "column uses the field actoin"),
    (TAB, put("attributes", "sort", to=[["detail", "desc"]]), "sort cannot aggregate detail"),
    (PATTERN, put("attributes", "timeFieldName", to="severity"), "is no date field"),
    (PATTERN, put("attributes", "fields", to="[{}]"), "each needs a name"),
    (PATTERN, put("attributes", "fieldFormatMap", to="["), "fieldFormatMap does not parse"),
]


def test_the_shipped_file_has_no_problem() -> None:
    assert [str(problem) for problem in validate(FILE)] == []


def test_the_shipped_file_is_kept_in_the_form_an_export_is_brought_to() -> None:
    first, *rest = [json.loads(line) for line in FILE.splitlines()]
    export = [*reversed(rest), first | {"version": "WzEsMV0=", "updated_at": "2026-11-23"}, {"exportedCount": 35}]
    assert canonical("\n".join(json.dumps(line) for line in export)) == FILE


@pytest.mark.parametrize(("key", "change", "said"), BROKEN, ids=[said[:40] for _, _, said in BROKEN])
def test_a_broken_copy_is_caught_and_its_object_named(key: tuple[str, str], change: Change, said: str) -> None:
    found = [str(problem) for problem in validate(broken(key, change))]
    named = [line for line in found if said in line]
    assert named, found
    assert key[1] in named[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "no JSON object"),
        ('{"id":"x"}', "type is missing"),
        ('{"type":"search","id":""}', "id is missing"),
        (FILE.splitlines()[0], "stands 2 times"),
    ],
)
def test_a_broken_line_is_caught(line: str, said: str) -> None:
    assert said in "\n".join(str(problem) for problem in validate(FILE + line + "\n"))


def test_a_reference_to_what_the_server_has_is_no_problem() -> None:
    elsewhere = "\n".join(line for line in FILE.splitlines() if json.loads(line)["type"] != "index-pattern")
    assert validate(elsewhere)
    known = {PATTERN, ("index-pattern", "impulse-agent-state")}
    assert validate(elsewhere, on_server=known) == ()


def test_a_field_that_the_live_index_has_not_or_with_another_type_is_caught() -> None:
    live = {"fields": {"severity": {"text": {"type": "text", "searchable": True, "aggregatable": False}}}}
    found = "\n".join(str(problem) for problem in validate(FILE, capabilities={"impulse-audit": live}))
    assert "cannot aggregate severity (not aggregatable in the live index)" in found
    assert "unknown to the live index" in found


def test_the_four_dashboards_of_the_design_are_there() -> None:
    titles = {item.attributes["title"] for item in parse(FILE)[0] if item.type == "dashboard"}
    assert titles == {"Audit overview", "Error triage", "Entity timeline", "Agent health"}


def test_every_object_is_on_a_dashboard_or_is_one_or_is_its_pattern() -> None:
    objects = parse(FILE)[0]
    used = {(ref["type"], ref["id"]) for item in objects if item.type == "dashboard" for ref in item.references}
    kinds = ("visualization", "search")
    assert {item.key for item in objects if item.type in kinds} == used
