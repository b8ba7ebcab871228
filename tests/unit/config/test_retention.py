"""config/retention.yml: whatever is not clearly said keeps, or is refused with its line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.loading import load_retention
from agent.config.problems import InvalidFile
from agent.config.retention import RetentionSettings
from agent.config.retention_file import RetentionFile
from tests.unit.config.conftest import problems

Write = Callable[..., Path]


@pytest.fixture
def retention(write: Write) -> Callable[..., RetentionSettings]:
    return lambda text, **environ: load_retention(write(text, "retention.yml"), environ)


@pytest.mark.parametrize(
    "text",
    ["", "rows:\n", "rows: {}\n", "rows: {days: }\n", "rows: {days: ~}\n", "rows: {days: 0}\n", "rows: {days: '0'}\n",
     "documents: {days: 0}\n", "mode: enforce\n"],
)  # fmt: skip
def test_what_is_missing_or_zero_keeps_everything(retention, text: str):
    assert retention(text).days_of(None) == (0, 0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("-1", "-1"),
        ("abc", '"abc"'),
        ('"abc"', '"abc"'),
        ("1e9", "1e9"),
        ("1.0e+9", "1.0e+9"),
        ("90.0", "90.0"),
        ("90.5", "90.5"),
        ("true", "true"),
        ("yes", '"yes"'),
        ("36501", "36501"),
        ("99999999999999999999999", "99999999999999999999999"),
        ("90d", '"90d"'),
        ("[90]", "a list"),
        ("{n: 90}", "a mapping"),
        ("2027-03-01", '"2027-03-01"'),
        ("''", '""'),
        (".inf", '".inf"'),
        ('"-1"', '"-1"'),
    ],
)
@pytest.mark.parametrize("side", ["rows", "documents"])
def test_days_that_are_no_days_are_refused_with_file_line_and_value(retention, side: str, value: str, shown: str):
    assert problems(lambda: retention(f"mode: enforce\n{side}:\n  days: {value}\n")) == [
        f"retention.yml:3: {side}.days: got {shown}, allowed a whole number from 0 to 36500 (0: for ever)"
    ]


@pytest.mark.parametrize("days", [1, 90, 36_500])
def test_days_within_bounds_are_taken(retention, days: int):
    assert retention(f"rows: {{days: {days}}}\ndocuments: {{days: '{days}'}}\n").days_of(None) == (days, days)


@pytest.mark.parametrize(
    ("rows", "documents", "fits"),
    [(90, 90, True), (90, 91, True), (91, 90, False), (90, 0, True), (0, 0, True), (0, 90, False), (0, 36_500, False)],
)
def test_rows_are_never_kept_longer_than_documents(retention, rows: int, documents: int, fits: bool):
    text = f"rows: {{days: {rows}}}\ndocuments: {{days: {documents}}}\n"
    if fits:
        assert retention(text).days_of(None) == (rows, documents)
    else:
        (problem,) = problems(lambda: retention(text))
        assert "the index never forgets before the table" in problem
        assert problem.startswith(f"retention.yml:{1 if rows else 2}: ")


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("rows: {days: 30}", (30, 90)),
        ("rows: {days: 90}", (90, 90)),
        ("rows: {days: 91}", None),
        ("rows: {days: 0}", None),
        ("rows: {}", None),
        ("documents: {days: 60}", (60, 60)),
        ("documents: {days: 59}", None),
        ("documents: {days: 0}", (60, 0)),
        ("rows: {days: 400}, documents: {days: 400}", (400, 400)),
        ("rows: {days: 401}, documents: {days: 400}", None),
        ("rows: {days: 0}, documents: {days: 0}", (0, 0)),
    ],
)
def test_a_rule_takes_what_it_leaves_out_from_the_default(retention, rule: str, days: tuple[int, int] | None):
    text = f"rows: {{days: 60}}\ndocuments: {{days: 90}}\nrules:\n- {{name: a, match: {{source: cron}}, {rule}}}\n"
    if days is None:
        (problem,) = problems(lambda: retention(text))
        assert problem.startswith("retention.yml:4: rules[0].")
    else:
        settings = retention(text)
        assert settings.days_of(settings.rules[0]) == days


def test_the_example_of_the_design_is_read(retention):
    settings = retention("""\
mode: preview
at: "03:20"
rows: {days: 90}
documents: {days: 90}
follow_core_setting: true
rules:
  - {name: errors-longer, match: {severity: [error]}, rows: {days: 180}, documents: {days: 400}}
  - {name: licences, match: {module_slug: impulsecore, action: "license.*"}, documents: {days: 0}}
holds:
  - {name: dispute-5512, match: {client_id: 1234}, until: 2027-03-01, reason: "chargeback dispute"}
archive: {enabled: false, directory: archive, format: ndjson}
brakes: {max_share: 0.25, max_rows: 5000000}
pace: {rows_per_second: 2000, chunk_rows: 1000, replicas: [], max_replica_lag_seconds: 10}
""")
    assert [settings.days_of(rule) for rule in settings.rules] == [(180, 400), (90, 0)]
    assert settings.rules[1].match == {"module_slug": ("impulsecore",), "action": ("license.*",)}
    assert settings.holds[0].match == {"client_id": (1234,)}
    assert settings.holds[0].until == dt.date(2027, 3, 1)
    assert settings.follow_core_setting is not None
    assert settings.brakes.shorten_wait == "next_run"


@pytest.mark.parametrize("word", ["false", "no", "off", "False", "'false'", "", "${OFF}"])
def test_core_is_not_followed_unless_it_is_said(retention, word: str):
    assert retention(f"follow_core_setting: {word}\n", OFF="false").follow_core_setting is None
    assert retention("").follow_core_setting is None


def test_core_can_be_followed_by_key_and_table(retention):
    core = retention("follow_core_setting: {key: audit_days, table: mod_x}\n").follow_core_setting
    assert (core.key, core.table) == (("audit_days",), "mod_x")
    assert retention("follow_core_setting: yes\n").follow_core_setting.table == "mod_impulsecore_settings"
    assert "allowed a mapping" in problems(lambda: retention("follow_core_setting: 90\n"))[0]
    assert "at least one" in problems(lambda: retention("follow_core_setting: {key: []}\n"))[0]


RULE = "rules:\n- name: a\n  rows: {days: 1}\n  documents: {days: 1}\n"


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("{severty: error}", "match.severty: got key «severty», allowed the columns module_slug"),
        ("{severty: error}", "did you mean «severity»?"),
        ("{id: 1}", "match.id: got key «id»"),
        ("{detail: x}", "match.detail: got key «detail»"),
        ("{context.server_id: 1}", "match.context.server_id: got key"),
        ("{severity: fatal}", 'match.severity: got "fatal", allowed info | warn | error, or a glob'),
        ("{severity: warning}", "did you mean «warn»?"),
        ("{source: [cron, robot]}", 'match.source: got "robot", allowed admin | cron | customer | system'),
        ("{client_id: abc}", 'match.client_id: got "abc", allowed a whole number'),
        ("{client_id: 12*}", 'match.client_id: got "12*"'),
        ("{client_id: -1}", "match.client_id: got -1"),
        ("{client_id: 9223372036854775808}", "match.client_id: got 9223372036854775808"),
        ("{client_id: true}", "match.client_id: got true"),
        ("{client_id: 1.5}", "match.client_id: got 1.5"),
        ("{ip_address: 10.0.0.0/8}", "match.ip_address: got"),
        ("{ip_address: 10.*}", "match.ip_address: got"),
        ("{action: 5}", "match.action: got 5, allowed text"),
        ("{action: ''}", "match.action: got"),
        ("{action: []}", "match.action: got an empty list"),
        ("{action: [[x]]}", "match.action: got a list"),
        ("{action: {x: 1}}", "match.action: got a mapping"),
        ("{action: }", "match.action: got nothing"),
        ("{}", "match: got a mapping, allowed at least one column"),
        ("severity", "match: got"),
        ("[severity]", "match: got a list"),
    ],
)
def test_a_match_that_says_nothing_definite_is_refused(retention, match: str, said: str):
    (problem,) = problems(lambda: retention(RULE + f"  match: {match}\n"))
    assert problem.startswith("retention.yml:5: rules[0].match")
    assert said in problem


def test_all_problems_of_one_match_are_reported(retention):
    lines = problems(lambda: retention(RULE + "  match:\n    severty: x\n    client_id: abc\n    source: x\n"))
    assert [line.split(" ")[0] for line in lines] == ["retention.yml:6:", "retention.yml:7:", "retention.yml:8:"]


def test_values_of_a_match_become_the_type_of_their_column(retention):
    text = "{client_id: ['1', 2], ip_address: '::1', action: [a.*, b], admin_id: 0}"
    match = retention(RULE + f"  match: {text}\n").rules[0].match
    assert match == {"client_id": (1, 2), "ip_address": ("::1",), "action": ("a.*", "b"), "admin_id": (0,)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode: enforc\n", 'retention.yml:1: mode: got "enforc", allowed preview | enforce; did you mean «enforce»?'),
        ("at: 3:20\n", 'retention.yml:1: at: got "3:20", allowed HH:MM'),
        ("at: '24:00'\n", "retention.yml:1: at: got"),
        ("at: 200\n", "retention.yml:1: at: got 200"),
        ("row: {days: 1}\n", "retention.yml:1: row: unknown key; did you mean «rows»?"),
        ("rows: {day: 1}\n", "retention.yml:1: rows.day: unknown key; did you mean «days»?"),
        ("days: 90\n", "retention.yml:1: days: unknown key; did you mean «rows.days»?"),
        ("rows: 90\n", "retention.yml:1: rows: got 90, allowed a mapping with the keys days"),
        ("holds:\n- {name: h, match: {}}\n", "retention.yml:2: holds[0].reason: is missing"),
        ("holds:\n- {name: h, match: {}, reason: '  '}\n", "holds[0].reason: got"),
        ("holds:\n- {name: h, reason: x}\n", "holds[0].match: is missing"),
        ("holds:\n- {name: h, match: {}, reason: x, until: 2027-02-29}\n", "there is no such day"),
        ("holds:\n- {name: h, match: {}, reason: x, until: 01.03.2027}\n", "allowed a date as 2027-03-01"),
        ("holds:\n- {name: h, match: {}, reason: x, until: 2027-03-01 10:00}\n", "allowed a date as 2027-03-01"),
        ("holds:\n- {name: ../h, match: {}, reason: x}\n", "holds[0].name: got"),
        ("holds:\n- 3\n", "retention.yml:2: holds[0]: got 3, allowed a mapping with the keys name, match"),
        ("holds: {name: h}\n", "retention.yml:1: holds: got a mapping, allowed a list"),
        ("holds:\n- {name: h, match: {}, reason: x}\n- {name: h, match: {}, reason: y}\n", "retention.yml:3: holds[1].name"),
        ("rules:\n- {name: default, match: {source: cron}}\n", "retention.yml:2: rules[0].name"),
        ("archive: yes\n", 'retention.yml:1: archive: got "yes", allowed a mapping with the keys enabled'),
        ("archive: {format: xml}\n", "allowed ndjson | csv"),
        ("archive: {directory: ''}\n", 'archive.directory: got "", allowed a path'),
        ("brakes: {max_share: 0}\n", "brakes.max_share: got 0"),
        ("brakes: {max_share: 25}\n", "brakes.max_share: got 25"),
        ("brakes: {max_rows: -5}\n", "brakes.max_rows: got -5"),
        ("brakes: {shorten_wait: never}\n", "allowed next_run | none"),
        ("pace: {rows_per_second: 0}\n", "pace.rows_per_second: got 0"),
        ("pace: {chunk_rows: 10001}\n", "pace.chunk_rows: got 10001"),
        ("pace: {replicas: [x]}\n", "retention.yml:1: pace.replicas[0]: got"),
        ("on_source_delete: remove\n", "allowed keep | mirror"),
        ("- mode\n", "retention.yml:1: got a list, allowed a mapping"),
        ("enforce\n", 'retention.yml:1: got "enforce", allowed a mapping'),
    ],
)  # fmt: skip
def test_every_other_mistake_is_answered_too(retention, text: str, said: str):
    (problem,) = problems(lambda: retention(text))
    assert said in problem


def test_directories_count_from_the_folder_of_the_file(retention, tmp_path: Path):
    settings = retention("archive: {directory: a/b}\nexport: {directory: /srv/export}\n")
    assert (settings.archive.directory, settings.export.directory) == (tmp_path / "a" / "b", Path("/srv/export"))


def test_a_change_is_taken_over_and_an_invalid_one_keeps_the_old_policy(write: Write):
    path = write("rows: {days: 90}\n", "r.yml")
    file = RetentionFile(path, {})
    first = file.digest
    assert not file.changed()
    assert file.load_if_changed() is None

    write("rows: {days: abc}\n", "r.yml")
    assert file.changed()
    error = file.load_if_changed()
    assert isinstance(error, InvalidFile)
    assert (file.settings.rows.days, file.digest) == (90, first)
    assert file.load_if_changed() is None, "the same invalid content is reported once"

    write("rows: {days: 30}  # shorter\n", "r.yml")
    settings = file.load_if_changed()
    assert isinstance(settings, RetentionSettings)
    assert settings is file.settings
    assert (file.settings.rows.days, len(file.digest), file.digest != first) == (30, 64, True)


def test_a_file_that_vanishes_keeps_the_policy_and_its_return_is_noticed(write: Write):
    path = write("rows: {days: 90}\n", "r.yml")
    file = RetentionFile(path, {})
    path.unlink()
    assert isinstance(file.load_if_changed(), InvalidFile)
    assert file.load_if_changed() is None
    assert file.settings.rows.days == 90
    write("rows: {days: 91}\n", "r.yml")
    assert isinstance(file.load_if_changed(), RetentionSettings)


def test_going_back_from_an_invalid_file_to_the_old_content_changes_nothing(write: Write):
    path = write("rows: {days: 90}\n", "r.yml")
    file = RetentionFile(path, {})
    before = file.settings
    write("rows: {days: abcd}\n", "r.yml")
    assert isinstance(file.load_if_changed(), InvalidFile)
    write("rows: {days: 90}\n", "r.yml")
    assert file.load_if_changed() is None
    assert file.settings == before


def test_a_touched_file_is_no_change_and_a_signal_reads_it_anyway(write: Write):
    path = write("rows:\n  days: ${N}\n", "r.yml")
    environ = {"N": "90"}
    file = RetentionFile(path, environ)
    path.write_bytes(path.read_bytes())
    assert file.load_if_changed() is None
    environ["N"] = "91"
    assert isinstance(file.load_if_changed(force=True), RetentionSettings)
    assert file.settings.rows.days == 91


def test_an_agent_does_not_start_on_a_policy_it_cannot_read(write: Write):
    with pytest.raises(InvalidFile):
        RetentionFile(write("rows: {days: abc}\n", "r.yml"), {})
