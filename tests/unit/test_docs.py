"""The pages and the program say the same: verbs, options of the examples, dashboards, alerts, links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
import yaml

from agent import __version__
from agent.cli import VERBS, audit_agent
from agent.config.loading import load_alerts
from agent.content.evaluate import condition_text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CALL = re.compile(r"audit-agent((?: -c \S+)?(?: [^`\n#|]*)?)")


def command(verb: str) -> click.Command:
    found = audit_agent.get_command(click.Context(audit_agent), verb)
    assert found is not None
    return found


def options_of(call: click.Command) -> set[str]:
    return {option for parameter in call.params for option in (*parameter.opts, *parameter.secondary_opts)}


def calls() -> list[tuple[str, str, set[str]]]:
    """Return (page, verb, options) of every call of the program that a page shows."""
    found = []
    for page in PAGES:
        for match in CALL.finditer(page.read_text(encoding="utf-8")):
            words = re.sub(r"^ -c \S+", "", match[1]).split()
            if words and re.fullmatch(r"[a-z][a-z-]*", words[0]) and f"audit-agent {words[0]}" in match[0]:
                options = {word.split("=")[0] for word in words[1:] if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
                found.append((page.name, " ".join(words[:2]), options))
    return found


def test_every_verb_is_in_the_readme_or_the_operations_page():
    text = PAGES[0].read_text() + (ROOT / "docs" / "operations.md").read_text()
    told = set(re.findall(r"(?:audit-agent|`)\s*([a-z][a-z-]*)", text))
    assert [verb for verb in VERBS if verb not in told] == []


def test_the_pages_show_calls():
    assert len(calls()) > 10


@pytest.mark.parametrize(
    ("page", "called", "options"),
    calls(),
    ids=lambda value: value if isinstance(value, str) else " ".join(sorted(value)),
)
def test_each_call_that_a_page_shows_exists_with_its_options(page: str, called: str, options: set[str]):
    verb, _, below = called.partition(" ")
    assert verb in VERBS, f"{page}: audit-agent {verb}"
    found = command(verb)
    known = options_of(found)
    if isinstance(found, click.Group):
        names = [below] if below in found.commands else found.commands
        for name in names:
            known |= options_of(found.commands[name])
    assert options - known - {"--help"} == set(), f"{page}: audit-agent {called}"


def test_every_verb_explains_itself_and_its_options():
    for verb in VERBS:
        found = command(verb)
        groups = found.commands.values() if isinstance(found, click.Group) else [found]
        for each in groups:
            assert each.help, (verb, each.name)
            unexplained = [p.name for p in each.params if isinstance(p, click.Option) and not p.help and not p.hidden]
            assert unexplained == [], (verb, each.name)


def test_every_verb_that_reports_has_json():
    silent = {"run"}  # its report is the log
    for verb in VERBS:
        found = command(verb)
        for each in found.commands.values() if isinstance(found, click.Group) else [found]:
            if verb not in silent and verb != "export":
                assert "--json" in options_of(each), (verb, each.name)


def test_the_dashboards_page_tells_of_every_dashboard_and_panel():
    page = (ROOT / "docs" / "dashboards.md").read_text()
    objects = [json.loads(line) for line in (ROOT / "dashboards" / "impulse-audit.ndjson").read_text().splitlines()]
    titles = {(item["type"], item["id"]): item["attributes"]["title"] for item in objects}
    for item in objects:
        if item["type"] == "dashboard":
            section = page.partition(f"\n## {item['attributes']['title']}\n")[2].partition("\n## ")[0]
            panels = [titles[reference["type"], reference["id"]] for reference in item["references"]]
            missing = [title for title in panels if f"| {title} |" not in section and title != "How to read this"]
            assert missing == [], item["attributes"]["title"]


def test_the_dashboards_page_tells_of_every_alert():
    page = (ROOT / "docs" / "dashboards.md").read_text()
    for alert in load_alerts(ROOT / "config" / "alerts.yml", {}).alerts:
        assert f"| {alert.name} |" in page
        shown = [line for line in page.splitlines() if f" {alert.name} (" in line]
        assert all(condition_text(alert) in line for line in shown)


def test_the_architecture_page_says_of_every_room_what_it_owns():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {folder.parent.name for folder in (ROOT / "agent").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `agent/(\w+)/` \|", page, re.MULTILINE)) == rooms


def test_the_changelog_tells_of_this_version():
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_files_that_pages_link_to_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_samples_and_manifests_are_yaml():
    for file in (*(ROOT / "config").glob("*.yml"), *(ROOT / "alerts").glob("*.yml")):
        assert yaml.safe_load(file.read_text()), file
