"""Secrets: read where they are used, and shown nowhere."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.loading import load_retention
from agent.config.problems import InvalidFile
from agent.config.settings_file import load
from agent.errors import ConfigError
from tests.unit.config.conftest import AGENT, problems

Write = Callable[..., Path]
SECRET = "hunter2-is-secret"
WITH_SECRETS = f"""\
instance: shop
source:
  url: mysql+pymysql://audit:{SECRET}@db/whmcs
opensearch:
  hosts: http://127.0.0.1:9200
  username: agent
  password: {SECRET}
"""


def test_no_way_of_printing_the_settings_shows_a_secret(write: Write):
    settings = load(write(WITH_SECRETS), {})
    assert settings.source.read_password() == SECRET
    assert settings.opensearch.read_password() == SECRET
    printed = [
        repr(settings),
        str(settings),
        json.dumps(settings.masked()),
        settings.model_dump_json(),
        settings.digest,
    ]
    printed += [
        repr(settings.source),
        str(settings.source.url),
        f"{settings.source.url!r} {settings.opensearch.password}",
    ]
    printed += [str(settings.model_dump()), repr(vars(settings))]
    assert SECRET not in " ".join(printed)
    assert settings.masked()["source"]["url"] == "mysql+pymysql://audit:***@db/whmcs"
    assert settings.masked()["opensearch"]["password"] == "***"


def test_replica_urls_are_masked_too(write: Write):
    retention = load_retention(write(f"pace: {{replicas: ['mysql://u:{SECRET}@r/db']}}\n", "r.yml"), {})
    assert retention.pace.replicas[0].get_secret_value() == f"mysql://u:{SECRET}@r/db"
    assert retention.pace.replicas[0].password == SECRET
    assert SECRET not in repr(retention) + retention.model_dump_json()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  password:", "  pasword:"),
        ("  password:", "  password: 12345\n  x:"),
        (f"password: {SECRET}", f"password: [{SECRET}]"),
        (f"password: {SECRET}", f"password: {{{SECRET}: 1}}"),
        ("  username: agent\n", ""),
        ("mysql+pymysql:", "pg:"),
        ("/whmcs", ""),
        ("@db", f"@{SECRET}@db"),
        ("http://127.0.0.1:9200", f"http://a:{SECRET}@127.0.0.1:9200"),
        ("http://127.0.0.1:9200", f"https://a:x,{SECRET},y@127.0.0.1:9200, https://h"),
        ("http://127.0.0.1:9200", f"[https://a:x,{SECRET}@127.0.0.1:9200]"),
        ("http://127.0.0.1:9200", "https://a:${DB_PASSWORD},z@127.0.0.1:9200"),
        ("http://127.0.0.1:9200", "${DB_PASSWORD},https://h"),
        (
            f"opensearch:\n  hosts: http://127.0.0.1:9200\n  username: agent\n  password: {SECRET}",
            f"opensearch: password {SECRET}",
        ),
        (f"  password: {SECRET}", f"  password: |\n    x\n  {SECRET}/@: y"),
        ("instance: shop", f"instance: shop\ntail: {{url: mysql://u:x$,{SECRET}@h/d}}"),
        ("hosts:", f"password_file: {SECRET}\n  hosts:"),
        ("instance: shop", "instance: ${DB_PASSWORD}"),
        ("instance: shop", "instance: shop\ntail: {poll_seconds: '${API_TOKEN}'}"),
        ("instance: shop", f"instance: shop\nsource.password: {SECRET}"),
        ("  username: agent\n", "  username: ${NONE}\n"),
    ],
)
def test_no_error_shows_a_secret(write: Write, old: str, new: str):
    assert old in WITH_SECRETS
    with pytest.raises(InvalidFile) as caught:
        load(write(WITH_SECRETS.replace(old, new)), {"DB_PASSWORD": f"{SECRET} X", "API_TOKEN": SECRET})
    printed = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.problems)
    assert SECRET not in printed
    assert "12345" not in printed


def test_a_value_from_a_secret_variable_is_named_by_the_variable(write: Write):
    text = AGENT.replace("instance: shop", "instance: ${DB_PASSWORD}")
    (problem,) = problems(lambda: load(write(text), {"DB_PASSWORD": "Upper Case"}))
    assert problem.startswith("agent.yml:1: instance: got the value of DB_PASSWORD, allowed")
    assert "upper-case" not in problem


def test_a_password_that_breaks_its_url_is_explained_without_being_shown(write: Write):
    text = AGENT.replace("audit@", "audit:${DB_PASSWORD}@")
    (problem,) = problems(lambda: load(write(text), {"DB_PASSWORD": "hunter2@x"}))
    assert "got the value of DB_PASSWORD" in problem
    assert "encode special characters" in problem
    assert "hunter2" not in problem


def test_a_value_from_another_variable_is_shown_with_its_name(write: Write):
    (problem,) = problems(lambda: load(write(AGENT + "tail: {batch_rows: '${ROWS}'}\n"), {"ROWS": "many"}))
    assert 'got "many" (from ROWS), allowed a whole number' in problem


def test_a_rotated_file_is_picked_up(write: Write):
    for section, text in (
        ("source", AGENT.replace("opensearch:", "  password_file: pw\nopensearch:")),
        ("opensearch", AGENT + "  username: agent\n  password_file: pw\n"),
    ):
        settings = load(write(text), {})
        write("old\n", "pw")
        assert getattr(settings, section).read_password() == "old"
        write("new\r\n", "pw")
        assert getattr(settings, section).read_password() == "new"


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"pw", "pw"),
        (b"pw\n", "pw"),
        (b"pw\r\n", "pw"),
        (b"pw\n\n", "pw"),
        (b" p w \n", " p w "),
        ("pä\n".encode(), "pä"),
    ],
)
def test_only_line_ends_are_taken_off(write: Write, content: bytes, password: str):
    write(content, "pw")
    assert load(write(AGENT + "  username: a\n  password_file: pw\n"), {}).opensearch.read_password() == password


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"a\0b", b"a\nb\n", b"a\rb", b"x" * 65_537])
def test_a_useless_file_is_a_clear_error_that_shows_nothing_of_it(write: Write, content: bytes | None):
    if content is not None:
        write(content, "pw")
    settings = load(write(AGENT + "  username: a\n  password_file: pw\n"), {})
    with pytest.raises(ConfigError, match=r"opensearch\.password_file .* at .*pw.*remedy") as caught:
        settings.opensearch.read_password()
    assert "xx" not in str(caught.value)


def test_the_file_wins_over_the_url(write: Write):
    write("from-file\n", "pw")
    text = WITH_SECRETS.replace("opensearch:", "  password_file: pw\nopensearch:")
    assert load(write(text), {}).source.read_password() == "from-file"


def test_a_password_inside_the_url_is_decoded(write: Write):
    text = AGENT.replace("audit@", "audit:p%40w%2F@")
    assert load(write(text), {}).source.read_password() == "p@w/"
    assert load(write(AGENT), {}).source.read_password() is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("  username: a\n  password: b\n  password_file: c\n", "one of the two"),
        ("  password: b\n", "username beside password"),
        ("  username: a\n", "beside username"),
        ("  client_cert: a\n", "client_cert and client_key together"),
    ],
)
def test_halves_of_a_credential_are_refused(write: Write, lines: str, said: str):
    (problem,) = problems(lambda: load(write(AGENT + lines), {}))
    assert problem.startswith("agent.yml:4: opensearch: got ")
    assert said in problem


def test_tls_is_on_and_verified_once_the_section_is_there(write: Write):
    tls = load(write(AGENT.replace("opensearch:", "  tls: {ca_file: ca.pem}\nopensearch:")), {}).source.tls
    assert tls is not None
    assert (tls.enabled, tls.verify, tls.ca_file.name) == (True, True, "ca.pem")


def test_the_digest_changes_with_a_setting_and_not_with_a_secret(write: Write):
    digest = load(write(WITH_SECRETS), {}).digest
    assert load(write(WITH_SECRETS.replace(SECRET, "other")), {}).digest == digest
    assert load(write(WITH_SECRETS + "tail: {batch_rows: 1}\n"), {}).digest != digest
