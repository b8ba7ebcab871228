"""Configuration as an attacker would write it: every name that ends up elsewhere is refused or harmless."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.loading import load_alerts, load_retention
from agent.config.problems import InvalidFile
from agent.config.settings_file import load
from tests.unit.config.conftest import AGENT

Write = Callable[..., Path]

# What ends a name and begins something else: in SQL, a URL, a header, a path, a shell, a template, a log.
BREAKING_OUT = [
    "a`; DROP TABLE users; -- ",
    "a' OR '1'='1",
    'a" or "1',
    "a\\",
    "../../etc/passwd",
    "a/../b",
    "..",
    "a/_search?q=*",
    "a#b",
    "a?b=c",
    "a%2f..%2fb",
    "a\r\nX-Injected: yes",
    "a\nevil",
    "a\0b",
    "a b",
    "a,b",
    "a*",
    "*",
    "_all",
    "-a",
    ".hidden",
    "A",
    "{{ctx}}",
    "${HOME}}",
    "$(id)",
    "\x1b[2J",
    "\u202eevil",
    "a" * 41,
    "",
]


def yaml_text(text: str) -> str:
    """Return a text as a double-quoted YAML scalar."""
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidFile) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    assert "\u202e" not in said
    return said


@pytest.mark.parametrize("name", BREAKING_OUT)
@pytest.mark.parametrize("key", ["instance", "index_prefix", "agent_prefix"])
def test_a_name_that_breaks_out_is_refused(write: Write, key: str, name: str):
    text = yaml_text(name)
    changed = (
        AGENT.replace("instance: shop", f"instance: {text}") if key == "instance" else AGENT + f"  {key}: {text}\n"
    )
    refused(lambda: load(write(changed), {}))


@pytest.mark.parametrize("name", BREAKING_OUT)
@pytest.mark.parametrize("section", ["rules", "holds"])
def test_a_rule_or_hold_whose_name_breaks_out_is_refused(write: Write, section: str, name: str):
    more = "reason: r, " if section == "holds" else "rows: {days: 1}, documents: {days: 2}, "
    text = f"{section}: [{{{more}match: {{severity: error}}, name: {yaml_text(name)}}}]\n"
    refused(lambda: load_retention(write(text, "retention.yml"), {}))


@pytest.mark.parametrize("name", BREAKING_OUT)
def test_an_alert_whose_name_or_channel_breaks_out_is_refused(write: Write, name: str):
    alert = "alerts: [{name: %s, description: d, threshold: 1, notify: [%s]}]\n"
    refused(lambda: load_alerts(write(alert % (yaml_text(name), "c"), "alerts.yml"), {}))
    if not re.fullmatch(r"[A-Za-z._-]+|a,b", name):  # a channel's id may hold dots and dashes; a comma parts two
        refused(lambda: load_alerts(write(alert % ("fine", yaml_text(name)), "alerts.yml"), {}))


@pytest.mark.parametrize(
    "host",
    [
        "http://h:9200\r\nX-Injected: yes",
        "http://h:9200/\nX",
        "http://h\\@evil:9200",
        "http://user:pw@h:9200",
        "http://h:9200?pretty",
        "http://h:9200#x",
        "http://h h:9200",
        "http://h:99999",
        "http://h:0",
        "http://h\u2028:9200",
        "http://[h]:9200",
        "file:///etc/passwd",
        "gopher://h:1",
        "javascript:alert(1)",
        "//h:9200",
        "",
    ],
)
def test_a_host_that_smuggles_something_is_refused(write: Write, host: str):
    refused(lambda: load(write(AGENT.replace("http://127.0.0.1:9200", yaml_text(host))), {}))


@pytest.mark.parametrize("name", ["a\r\nX-Injected: yes", "a:b", "a\0", "\x7f", ""])
def test_a_username_that_ends_its_header_or_itself_is_refused(write: Write, name: str):
    said = refused(lambda: load(write(AGENT + f"  username: {yaml_text(name)}\n  password: b\n"), {}))
    assert not name or "without a colon" in said


@pytest.mark.parametrize(
    "option",
    [
        "init_command=DROP+TABLE+users",
        "local_infile=1",
        "read_default_file=/etc/my.cnf",
        "ssl_disabled=true",
        "ssl_verify_cert=false",
        "client_flag=65536",
        "passwd=x",
        "charset=utf8mb4&init_command=x",
        "init_command=",
    ],
)
def test_the_databases_url_carries_no_option_that_runs_sql_or_weakens_tls(write: Write, option: str):
    said = refused(lambda: load(write(AGENT.replace("/whmcs", f"/whmcs?{option}")), {}))
    assert "source.tls" in said


@pytest.mark.parametrize("option", ["unix_socket=/run/mysqld/mysqld.sock", "charset=utf8mb4"])
def test_socket_and_charset_may_stand_in_the_url(write: Write, option: str):
    settings = load(write(AGENT.replace("/whmcs", f"/whmcs?{option}")), {})
    assert settings.source.url.get_secret_value().endswith(option)


@pytest.mark.parametrize("value", ["x@evil/db?init_command=DROP", "x/../../y", "p w", "p\nw"])
def test_a_variable_cannot_turn_the_url_into_another_one(write: Write, value: str):
    text = AGENT.replace("audit@", "audit:${DB_PASSWORD}@")
    assert value not in refused(lambda: load(write(text), {"DB_PASSWORD": value}))


def test_a_variable_cannot_add_keys(write: Write):
    text = AGENT.replace("instance: shop", "instance: ${NAME}")
    refused(lambda: load(write(text), {"NAME": "shop\nhttp: {listen: 0.0.0.0:1}"}))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['id']",
        "!!python/name:os.system",
        "instance: !!python/object/new:type {}",
        "instance: !include /etc/passwd",
        "source: !!map {}",
        "!!binary aGFsbG8=",
        "instance: &a !!str x",
    ],
)
def test_no_tag_is_obeyed(write: Write, text: str):
    assert "tag" in refused(lambda: load(write(text), {}))


def test_bombs_are_refused_at_once(write: Write):
    levels = "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 12))
    bombs = [
        f"b0: &b0 [x]\n{levels}\n",
        "[" * 100_000,
        "{a: " * 50_000,
        "a: &a [*a]\n",
        "- " * 100_000,
        "a: |\n" + " x" * (1 << 20),
    ]
    before = time.process_time()
    for bomb in bombs:
        refused(lambda bomb=bomb: load(write(bomb), {}))
    assert time.process_time() - before < 30, "a billion values would take hours"


@pytest.mark.parametrize("value", ["{{ctx.results}}", "a{{#x}}", "x\ny", "a\u2028b", "\x1b[31m"])
@pytest.mark.parametrize("key", ["match: {action: %s}", "match: {context.message: %s}", "match: {%s: x}"])
def test_an_alert_asks_for_nothing_that_is_a_template(write: Write, key: str, value: str):
    text = "alerts: [{name: a, description: d, threshold: 1, %s}]\n" % (key % yaml_text(value))
    refused(lambda: load_alerts(write(text, "alerts.yml"), {}))


@pytest.mark.parametrize("key", ["group_by: [%s]", "lowered: {before: context.a, after: %s}"])
def test_a_path_of_an_alert_is_no_template_either(write: Write, key: str):
    text = "alerts: [{name: a, description: d, threshold: 1, %s}]\n" % (key % yaml_text("context.{{ctx}}"))
    refused(lambda: load_alerts(write(text, "alerts.yml"), {}))


@pytest.mark.parametrize("key", ["table", "columns: {id: %s}"])
def test_an_identifier_that_cannot_be_quoted_is_refused(write: Write, key: str):
    for name in ("a`b", "a\0b", "a\nb", "\x1b[2J", "a" * 65, ""):
        line = f"  {key}: {yaml_text(name)}\n" if "%" not in key else f"  {key % yaml_text(name)}\n"
        refused(lambda line=line: load(write(AGENT.replace("opensearch:", f"{line}opensearch:")), {}))


@pytest.mark.parametrize("name", ["a`b", "a.b", "../b", "a\nb", "\x1b[2J"])
def test_the_settings_table_is_an_identifier(write: Write, name: str):
    text = f"follow_core_setting: {{table: {yaml_text(name)}, key: k}}\n"
    refused(lambda: load_retention(write(text, "retention.yml"), {}))
