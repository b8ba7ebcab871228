"""The files in config/ and the page about them: complete, valid, and saying what the code says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.config.loading import load_all
from agent.config.reference import FILES, reference
from agent.config.settings import Settings
from agent.config.translation import keys_of
from agent.config.yaml_tree import parse_tree, read_tree
from tests.unit.config.conftest import AGENT, problems

ROOT = Path(__file__).parents[3]


def test_the_shipped_files_are_valid_without_any_variable():
    configuration = load_all(ROOT / "config" / "agent.yml", {})
    assert configuration.retention.days_of(None) == (90, 90)
    assert configuration.retention.mode == "preview"
    assert configuration.context_fields.types["expires_at"] == "date"
    assert {"cron-error-spike", "agent-stalled"} <= {alert.name for alert in configuration.alerts.alerts}


def test_the_shipped_agent_file_says_the_defaults():
    shipped = load_all(ROOT / "config" / "agent.yml", {}).settings.masked()
    plain = Settings.model_validate({"source": {"url": shipped["source"]["url"]}, "opensearch": {
        "hosts": shipped["opensearch"]["hosts"]}}).masked()  # fmt: skip
    for section in ("context", "retention", "alerts"):
        for key in ("fields_file", "file"):
            shipped[section].pop(key, None)
            plain[section].pop(key, None)
    assert shipped == plain


@pytest.mark.parametrize(("file", "model"), FILES)
def test_the_shipped_files_name_every_key(file: str, model: type[BaseModel]):
    text = (ROOT / "config" / file).read_text(encoding="utf-8")
    missing = [
        ".".join(key) for key in keys_of(model) if not re.search(rf"(?m)(^|[\s#{{,-]){key[-1]}(:|\s{{2,}})", text)
    ]
    assert not missing


def test_every_key_of_the_agent_file_has_its_default_and_a_reason_beside_it():
    above, bare = "", []
    for line in (ROOT / "config" / "agent.yml").read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above += line
            continue
        leaf = re.match(r"\s*(\w+): +([^#\s].*?)(?:\s+#\s*(.*))?$", line)
        if leaf:
            said = f"{above} {leaf[3] or ''}"
            reason = re.sub(r"default( \S+)?", "", said)
            has_default = "default" in said or leaf[1] in ("url", "hosts", "columns")
            bare += [] if has_default and len(reason.split()) >= 3 else [line]
        above = ""
    assert bare == []


@pytest.mark.parametrize("file", ["agent.yml", "retention.yml", "context_fields.yml"])
def test_what_is_commented_out_is_valid_too(file: str):
    """Taking a comment sign away must not lead to an error that the comment could have avoided."""
    text = (ROOT / "config" / file).read_text(encoding="utf-8")
    keys = {key[-1] for _, model in FILES for key in keys_of(model)}
    for line in text.splitlines():
        match = re.match(r"\s*#\s+(\w+): +(\S.*)$", line)
        if match and match[1] in keys:
            parse_tree(file, f"{match[1]}: {match[2]}\n".encode(), {})


def test_the_page_about_configuration_is_up_to_date():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m agent.config.reference > docs/configuration.md"


@pytest.mark.parametrize(("file", "model"), FILES)
def test_the_page_names_every_key_with_a_meaning(file: str, model: type[BaseModel]):
    page = reference().replace("[]", "")
    assert f"## {file}" in page
    for key in keys_of(model):
        line = next((line for line in page.splitlines() if f"`{'.'.join(key)}`" in line), "")
        assert line, key
        assert not line.startswith("|") or len(line.split(" | ")[-1]) > 5


def test_the_keys_of_the_design_are_all_there():
    keys = {".".join(key) for key in keys_of(Settings)}
    expected = (
        "instance source.{url,password_file,table,columns,time_zone,connect_timeout_seconds,read_timeout_seconds,tls} "
        "opensearch.{hosts,username,password_file,ca_file,client_cert,client_key,aws_region,index_prefix,agent_prefix,"
        "partition,shards,replicas,timeout_seconds} tail.{poll_seconds,batch_rows,bulk_bytes,bulk_concurrency} "
        "tail.gaps.{evidence,grace_seconds,watch_hours,max_ranges} context.{fields_file,max_fields,max_depth,max_bytes} "
        "retention.{file} alerts.{file} verify.{at,window_rows,repair} http.{listen} log.{format,level}"
    )
    for group in expected.split():
        prefix, _, names = group.partition("{")
        for name in names.rstrip("}").split(",") if names else [""]:
            assert prefix + name in keys


def test_the_problems_of_all_files_come_together(write: Callable[..., Path]):
    write("rows: {days: abc}\n", "r.yml")
    write("alerts: 3\n", "a.yml")
    path = write(AGENT + "retention: {file: r.yml}\nalerts: {file: a.yml}\ncontext:\n  fields_file: none.yml\n")
    lines = problems(lambda: load_all(path, {}))
    assert [line.split(": ")[:2] for line in lines] == [
        ["a.yml:1", "alerts"], ["agent.yml:9", "context.fields_file"], ["r.yml:1", "rows.days"]]  # fmt: skip
    assert "no such file" in lines[1]


def test_files_that_are_not_named_stand_with_their_defaults(write: Callable[..., Path]):
    configuration = load_all(write(AGENT), {})
    assert configuration.retention.days_of(None) == (0, 0)
    assert configuration.alerts.alerts == ()
    assert configuration.context_fields.redact.detectors is None


def test_the_shipped_files_hold_no_secret_and_no_variable_without_default():
    for file, _ in FILES:
        tree = read_tree(ROOT / "config" / file, {})
        assert isinstance(tree.value, dict)
