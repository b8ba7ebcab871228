"""The documents and the code say the same: events, metrics, states, status keys, links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agent.observing.events import Event, Level
from agent.observing.health import State
from agent.observing.metrics import Metrics
from agent.observing.status import report

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
AGENT = ROOT / "agent"


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def cells(title: str) -> list[tuple[str, ...]]:
    rows = [line.strip("|").split(" | ") for line in section(title).splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in row) for row in rows]


def test_every_event_is_documented_with_its_level_and_meaning_and_no_other_is():
    expected = [(f"`{event}`", event.level.value, event.meaning) for event in Event]
    assert cells("Every event of the log") == expected


def test_event_names_are_dotted_words_and_listed_once():
    names = [event.value for event in Event]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name) for name in names)
    assert {event.level for event in Event} <= set(Level)


def test_an_event_is_its_name():
    assert str(Event.TAIL_BATCH) == "tail.batch"
    assert Event.TAIL_BATCH.level is Level.INFO
    assert all(event.name == event.value.replace(".", "_").upper() for event in Event)


def test_the_events_said_in_the_code_are_those_of_the_list():
    """A misspelt name would only fail when it is said, perhaps in the worst moment; one never said is a false promise."""
    used = set()
    for file in sorted(AGENT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Event":
                assert node.attr in Event.__members__, f"{file}:{node.lineno}: Event.{node.attr}"
                used.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                assert not isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}: an event is no plain string"
    assert set(Event.__members__) - used == set()


def test_every_metric_is_documented_as_it_is_and_no_other_is():
    metrics = Metrics(instance="whmcs", version="1.0.0")
    families = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        families[f"`{name}`"] = (family.type, family.documentation)
    documented = {name: (kind, meaning) for name, kind, _, meaning in cells("Every metric")}
    assert documented == families


def test_documented_labels_are_the_metrics_own():
    labels = {name: frozenset(re.findall(r"`(\w+)`", found)) for name, _, found, _ in cells("Every metric")}
    registry = Metrics(instance="whmcs", version="1.0.0")._registry
    for collector in registry._collector_to_names:
        name = collector._name + ("_total" if collector._type == "counter" else "")
        assert labels[f"`{name}`"] == frozenset(collector._labelnames), name


def test_every_state_and_status_key_is_explained():
    text = section("What does the status line say?")
    states = re.findall(r"^\| (\w+) \|", text, flags=re.MULTILINE)
    assert states == ["state", *(state.value for state in State)]
    keys = report(None, instance="x", now=None, poll_seconds=1.0)
    assert re.findall(r"`(\w+)`", text.partition("has the keys")[2]) == list(keys)


def test_links_inside_the_page_lead_somewhere():
    titles = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert linked <= anchors
    assert anchors <= linked


def test_files_named_in_the_pages_exist():
    for page in ("operations.md", "release.md"):
        for name in re.findall(r"`(deploy/[\w./@-]+)`", (ROOT / "docs" / page).read_text()):
            assert (ROOT / name).exists(), name


def test_the_glossary_defines_each_word_once():
    words = re.findall(r"^\| \**([\w ]+?)\** \|", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    assert len(words) == len(set(words))
    for word in ("watermark", "frontier", "gap", "evidence", "dead letter", "lease", "cutoff", "hold", "drift", "lag"):
        assert word in words
