"""Templates: installed once, upgraded when ours, kept when a person changed them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from agent.opensearch.client import Answer
from agent.opensearch.names import Names
from agent.opensearch.shipped import Template, shipped_templates
from agent.opensearch.templates import Action, Templates, content_digest


class Shelf:
    """A cluster that keeps templates and spells settings its own way."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, **_: Any) -> Answer:
        endpoint, name = path.strip("/").split("/")
        if path not in self.kept:
            return Answer(404, {"error": {"type": "resource_not_found_exception"}})
        kind = endpoint.removeprefix("_")
        return Answer(200, {f"{kind}s": [{"name": name, kind: self.kept[path]}]})

    def call(self, method: str, path: str, *, body: dict[str, Any]) -> Any:
        assert method == "PUT"
        self.kept[path] = copy.deepcopy(body)


def template(version: int = 1, refresh: str = "1s") -> Template:
    settings = {"index.refresh_interval": refresh, "number_of_shards": 1}
    body = {
        "template": {"settings": settings, "mappings": {"dynamic": "strict", "properties": {"d": {"norms": False}}}},
        "_meta": {"owner": "impulse-audit-agent", "version": version},
    }
    return Template("_component_template", "impulse-audit-settings", body)


def templates(shelf: Shelf, *shipped: Template) -> Templates:
    return Templates(shelf, Names("shop"), shipped)  # type: ignore[arg-type]  # a shelf is cluster enough


def actions(report: list[Any]) -> list[Action]:
    return [line.action for line in report]


def test_installing_twice_changes_nothing_the_second_time() -> None:
    shelf = Shelf()
    assert actions(templates(shelf, template()).install()) == [Action.CREATED]
    before = copy.deepcopy(shelf.kept)
    assert actions(templates(shelf, template()).install()) == [Action.UNCHANGED]
    assert shelf.kept == before


def test_an_older_template_of_ours_is_upgraded() -> None:
    shelf = Shelf()
    templates(shelf, template(1, "1s")).install()
    assert actions(templates(shelf, template(2, "5s")).inspect()) == [Action.UPGRADED]
    assert actions(templates(shelf, template(2, "5s")).install()) == [Action.UPGRADED]
    assert actions(templates(shelf, template(2, "5s")).install()) == [Action.UNCHANGED]


def test_a_template_of_a_newer_agent_is_left_alone() -> None:
    shelf = Shelf()
    templates(shelf, template(3, "9s")).install()
    before = copy.deepcopy(shelf.kept)
    assert actions(templates(shelf, template(2, "5s")).install()) == [Action.UNCHANGED]
    assert shelf.kept == before


@pytest.mark.parametrize("shipped", [template(1), template(2, "5s")])
def test_a_template_a_person_changed_is_reported_and_kept_until_forced(shipped: Template) -> None:
    shelf = Shelf()
    templates(shelf, template(1)).install()
    (kept,) = shelf.kept.values()
    kept["template"]["settings"]["index.codec"] = "best_compression"
    before = copy.deepcopy(shelf.kept)
    assert actions(templates(shelf, shipped).install()) == [Action.DRIFTED]
    assert shelf.kept == before
    assert actions(templates(shelf, shipped).install(force=True)) == [Action.UPGRADED]
    assert actions(templates(shelf, shipped).install()) == [Action.UNCHANGED]


def test_a_foreign_template_of_the_same_name_is_kept() -> None:
    shelf = Shelf()
    shelf.kept["/_component_template/impulse-audit-settings"] = {"template": {}}
    assert actions(templates(shelf, template()).install()) == [Action.DRIFTED]


def test_a_running_agent_puts_back_what_is_missing_and_only_that() -> None:
    shelf = Shelf()
    everything = shipped_templates(Names("shop"))
    templates(shelf, *everything).install()
    del shelf.kept["/_index_template/impulse-audit"]
    shelf.kept["/_index_template/impulse-agent-state"]["priority"] = 7
    assert templates(shelf, *everything).ensure() == ["impulse-audit"]
    assert shelf.kept["/_index_template/impulse-agent-state"]["priority"] == 7


def test_the_servers_spelling_of_a_template_is_no_change() -> None:
    theirs = copy.deepcopy(template().body)
    theirs["template"]["settings"] = {"index": {"refresh_interval": "1s", "number_of_shards": "1"}}
    theirs["template"]["mappings"]["properties"]["d"]["norms"] = "false"
    theirs["composed_of"] = []
    assert content_digest(theirs) == content_digest(template().body)


def test_a_changed_value_is_a_change() -> None:
    assert content_digest(template(1, "2s").body) != content_digest(template(1, "1s").body)


def test_shipped_templates_carry_version_and_owner_and_come_components_first() -> None:
    shipped = shipped_templates(Names("shop"))
    assert [one.endpoint for one in shipped] == sorted(one.endpoint for one in shipped)
    assert {one.name for one in shipped} == {
        "impulse-audit",
        "impulse-audit-mappings",
        "impulse-audit-settings",
        "impulse-agent-state",
        "impulse-agent-dead-letters",
        "impulse-agent-journal",
    }
    for one in shipped:
        assert one.version >= 1
        assert one.body["_meta"]["owner"] == "impulse-audit-agent"


def test_shipped_templates_take_the_configured_prefixes() -> None:
    shipped = {one.name: one.body for one in shipped_templates(Names("a", index_prefix="acme", agent_prefix="own"))}
    assert shipped["acme"]["index_patterns"] == ["acme-*"]
    assert set(shipped["acme"]["composed_of"]) <= shipped.keys()
    assert shipped["own-state"]["index_patterns"] == ["own-state"]


def test_templates_are_found_as_package_data_too(tmp_path: Path) -> None:
    (tmp_path / "component").mkdir()
    (tmp_path / "component" / "impulse-audit-x.json").write_text('{"_meta": {"version": 4}}')
    assert [(one.name, one.version) for one in shipped_templates(Names("a"), tmp_path)] == [("impulse-audit-x", 4)]
