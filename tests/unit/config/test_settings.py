"""config/agent.yml: what is accepted, what it becomes, and how a mistake is answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.config.addresses import Name
from agent.config.problems import InvalidFile
from agent.config.settings_file import load
from agent.config.values import Size, size_text
from agent.errors import ConfigError
from agent.opensearch.names import Names
from tests.unit.config.conftest import AGENT, problems

Write = Callable[..., Path]


def test_the_shortest_file_has_every_default(write: Write):
    settings = load(write(AGENT), {})
    assert settings.instance == "shop"
    assert settings.source.url.get_secret_value() == "mysql+pymysql://audit@127.0.0.1:3306/whmcs"
    assert settings.opensearch.hosts == ("http://127.0.0.1:9200",)
    expected = {
        "source.table": "mod_impulsecore_audit_log",
        "source.time_zone": "UTC",
        "opensearch.index_prefix": "impulse-audit",
        "opensearch.agent_prefix": "impulse-agent",
        "opensearch.partition": "month",
        "opensearch.verify": True,
        "tail.poll_seconds": 1,
        "tail.batch_rows": 2000,
        "tail.bulk_bytes": 5 * 1024 * 1024,
        "tail.bulk_concurrency": 2,
        "tail.gaps.evidence": "auto",
        "tail.gaps.grace_seconds": 60,
        "tail.gaps.watch_hours": 24,
        "tail.gaps.max_ranges": 10_000,
        "context.max_fields": 500,
        "context.max_depth": 10,
        "context.max_bytes": 1024 * 1024,
        "verify.window_rows": 10_000,
        "verify.repair": False,
        "http.listen": "127.0.0.1:9465",
        "log.format": "text",
    }
    for path, value in expected.items():
        found: object = settings
        for part in path.split("."):
            found = getattr(found, part)
        assert found == value, path


def test_files_and_secrets_count_from_the_folder_of_the_file(write: Write, tmp_path: Path, monkeypatch):
    monkeypatch.chdir("/")
    text = AGENT.replace("opensearch:", "  password_file: sub/pw\nopensearch:")
    settings = load(write(text + "retention: {file: r.yml}\nalerts: {file: /etc/a.yml}\n"), {})
    assert settings.source.password_file == tmp_path / "sub" / "pw"
    assert settings.files.retention == tmp_path / "r.yml"
    assert settings.files.alerts == Path("/etc/a.yml")
    assert settings.files.context_fields is None


def test_settings_are_frozen(write: Write):
    settings = load(write(AGENT), {})
    with pytest.raises(ValidationError):
        settings.tail.batch_rows = 1


def test_a_key_without_value_counts_as_left_out(write: Write):
    text = AGENT.replace("opensearch:", "  password_file:\n  tls:\nopensearch:\n  username: ${USER_NAME:-}") + "tail:\n"
    settings = load(write(text), {})
    assert (settings.source.password_file, settings.source.tls, settings.opensearch.username) == (None, None, None)
    assert settings.tail.batch_rows == 2000


def test_variables_fill_numbers_flags_and_lists(write: Write):
    text = AGENT.replace(
        "http://127.0.0.1:9200", "${HOSTS}\n  verify: ${VERIFY}\n  replicas: ${N}\n  timeout_seconds: ${T}"
    )
    environ = {"HOSTS": "http://a:9200, https://b/ ", "VERIFY": "no", "N": "0", "T": "2.5"}
    opensearch = load(write(text), environ).opensearch
    assert opensearch.hosts == ("http://a:9200", "https://b")
    assert (opensearch.verify, opensearch.replicas, opensearch.timeout_seconds) == (False, 0, 2.5)


ALL_WRONG = """\
instance: Shop/1
source:
  url: mysql+pymysql://audit@127.0.0.1/whmcs
  passwort_file: x
opensearch:
  hosts:
  - http://a:9200
  - ftp://x
  partition: monthly
  verify: maybe
tail:
  batch_row: 3
  poll_seconds: abc
  gaps: {evidence: gras}
poll_seconds: 3
log: [json]
"""


def test_all_problems_are_reported_at_once_with_their_lines(write: Write):
    lines = problems(lambda: load(write(ALL_WRONG), {}))
    assert [line.split(": ")[0:2] for line in lines] == [
        ["agent.yml:1", "instance"],
        ["agent.yml:4", "source.passwort_file"],
        ["agent.yml:8", "opensearch.hosts[1]"],
        ["agent.yml:9", "opensearch.partition"],
        ["agent.yml:10", "opensearch.verify"],
        ["agent.yml:12", "tail.batch_row"],
        ["agent.yml:13", "tail.poll_seconds"],
        ["agent.yml:14", "tail.gaps.evidence"],
        ["agent.yml:15", "poll_seconds"],
        ["agent.yml:16", "log"],
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tail: {batch_row: 3}", "tail.batch_row: unknown key; did you mean «batch_rows»?"),
        ("tail: {poll_second: 3}", "tail.poll_second: unknown key; did you mean «poll_seconds»?"),
        ("batch_rows: 3", "batch_rows: unknown key; did you mean «tail.batch_rows»?"),
        ("tails: {}", "tails: unknown key; did you mean «tail»?"),
        ("tail: {zzz: 1}", "tail.zzz: unknown key, allowed poll_seconds, batch_rows, bulk_bytes, bulk_concurrency, gaps"),
        ("tail: {batch_rows: 0}", "tail.batch_rows: got 0, allowed a whole number from 1 to 100000"),
        ("tail: {batch_rows: 100001}", "tail.batch_rows: got 100001, allowed a whole number from 1 to 100000"),
        ("tail: {batch_rows: 2.5}", "tail.batch_rows: got 2.5, allowed a whole number from 1 to 100000"),
        ("tail: {batch_rows: 1e3}", "tail.batch_rows: got 1e3, allowed a whole number from 1 to 100000"),
        ("tail: {batch_rows: true}", "tail.batch_rows: got true, allowed a whole number from 1 to 100000"),
        ("tail: {batch_rows: [1]}", "tail.batch_rows: got a list, allowed a whole number from 1 to 100000"),
        ("tail: 3", "tail: got 3, allowed a mapping with the keys poll_seconds, batch_rows, bulk_bytes, bulk_concurrency, gaps"),
        ("log: {level: WARN}", "did you mean «warning»?"),
        ("log: {format: jason}", 'log.format: got "jason", allowed text | json; did you mean «json»?'),
        ("verify: {at: '25:00'}", 'verify.at: got "25:00", allowed a weekday and HH:MM'),
        ("verify: {at: noday 04:00}", 'verify.at: got "noday 04:00"'),
        ("verify: {at: 4}", "verify.at: got 4"),
        ("http: {listen: 9465}", "http.listen: got 9465, allowed host:port"),
        ("http: {listen: '127.0.0.1'}", "http.listen: got"),
        ("http: {listen: '127.0.0.1:65536'}", "http.listen: got"),
        ("http: {listen: 'http://127.0.0.1:1'}", "http.listen: got"),
        ("context: {max_bytes: 5XB}", 'context.max_bytes: got "5XB", allowed bytes from 1KB to 32MB'),
        ("context: {max_bytes: 33MB}", "context.max_bytes: got"),
        ("context: {max_depth: 21}", "context.max_depth: got 21"),
        ("retention: {file: 3}", "retention.file: got 3, allowed a path"),
    ],
)  # fmt: skip
def test_a_bad_value_is_answered_with_what_is_allowed(write: Write, line: str, said: str):
    (problem,) = problems(lambda: load(write(AGENT + line + "\n"), {}))
    assert problem.startswith("agent.yml:6: ")
    assert said in problem


@pytest.mark.parametrize(
    "name",
    ["Shop", "a/b", "a*", "a,b", "a b", "..", ".", "a.b", "-a", "_a", "", "a" * 41, "ä", "a\n", "a%2fb", "a?", 'a"', "<a>",
     "a\\\\b", "a|b", "a#b", "a:b", "../../etc", "+a", "a;DROP", "$${x}", "a'"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["instance", "index_prefix", "agent_prefix"])
def test_a_name_that_is_not_safe_everywhere_is_refused(write: Write, key: str, name: str):
    quoted = '"' + name.replace('"', '\\"').replace("\n", "\\n") + '"'
    text = (
        AGENT.replace("instance: shop", f"instance: {quoted}") if key == "instance" else AGENT + f"  {key}: {quoted}\n"
    )
    lines = problems(lambda: load(write(text), {}))
    assert any("allowed lower-case letters" in line for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("ending", ["undated", "1900", "2026", "2199", "2026-000001", "1234-000001", "undated-000001"])
def test_an_instance_that_reads_like_a_partition_is_refused(write: Write, ending: str):
    (problem,) = problems(lambda: load(write(AGENT.replace("shop", f"shop-{ending}")), {}))
    assert problem.startswith(f'agent.yml:1: instance: got "shop-{ending}"')
    with pytest.raises(ConfigError):
        Names(f"shop-{ending}")


@pytest.mark.parametrize(
    "instance", ["2026", "undated", "shop-1899", "shop-2200", "shop-20260", "shop_2026", "shop2026"]
)
def test_an_instance_with_an_ordinary_number_is_taken(write: Write, instance: str):
    assert load(write(AGENT.replace("instance: shop", f'instance: "{instance}"')), {}).instance == instance
    assert Names(instance).instance == instance


@pytest.mark.parametrize("name", ["a", "a" * 40, "0", "shop-2_b"])
def test_a_safe_name_is_taken_as_it_is(name: str):
    assert Name().read(name) == name


def test_prefixes_that_catch_each_others_indices_are_refused(write: Write):
    for index, agent in (("a", "a"), ("a", "a-b"), ("a-b", "a")):
        text = AGENT + f"  index_prefix: {index}\n  agent_prefix: {agent}\n"
        assert "begins with the other" in problems(lambda text=text: load(write(text), {}))[0]
    assert load(write(AGENT + "  index_prefix: a\n  agent_prefix: ab\n"), {})


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://u:hunter2@h/db", "scheme"),
        ("mysql+psycopg://u:hunter2@h/db", "scheme"),
        ("mysql://u:hunter2@h", "database is missing"),
        ("mysql://u:hunter2@h/", "database is missing"),
        ("mysql://u:hunter2@/db", "host is missing"),
        ("mysql://u:hun@ter2@h/db", "encode"),
        ("mysql://u:hun/ter2@h/db", ""),
        ("mysql://u:hunter2@h:port/db", ""),
        ("mysql://u:hunter2@h:0/db", "port"),
        ("mysql://u:hunter2@h:99999/db", ""),
        ("'mysql://u:hunter2@h/d b'", "no spaces"),
        ("u:hunter2@h/db", ""),
        ("hunter2", ""),
        ("12345", ""),
        ("{password: hunter2}", ""),
        ("[hunter2]", ""),
        ("mysql://u:hunter2", ""),
        ("mysql://u:hunter2/db", ""),
        ("mysql://u:hunter2#@h/db", "encode"),
    ],
)
def test_a_bad_database_url_is_refused_without_its_password(write: Write, url: str, hint: str):
    text = AGENT.replace("mysql+pymysql://audit@127.0.0.1:3306/whmcs", url)
    with pytest.raises(InvalidFile) as caught:
        load(write(text), {})
    assert "agent.yml:3: source.url: got" in str(caught.value)
    assert hint in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["mysql://u@h/db", "mysql+pymysql://u:p%40w@h:3306/db?charset=utf8mb4", "mariadb+pymysql://u@[::1]:3306/db",
     "mysql+mysqldb://u@/db?unix_socket=/run/mysqld/mysqld.sock"],
)  # fmt: skip
def test_a_good_database_url_is_taken(write: Write, url: str):
    text = AGENT.replace("mysql+pymysql://audit@127.0.0.1:3306/whmcs", url)
    assert load(write(text), {}).source.url.get_secret_value() == url


@pytest.mark.parametrize(
    "host",
    ["localhost:9200", "ftp://h:9200", "http://", "http://h:0", "http://h:99999", "http://h:x", "http://a b", "http://h/?a=b",
     "http://h/#x", "https://admin:hunter2@h:9200", "http://h\\\\x", "//h:9200", "3", "http://h/a b"],
)  # fmt: skip
def test_a_bad_host_is_refused_without_any_password(write: Write, host: str):
    (problem,) = problems(lambda: load(write(AGENT.replace("http://127.0.0.1:9200", f'["{host}"]')), {}))
    assert problem.startswith("agent.yml:5: opensearch.hosts[0]: got")
    assert "hunter2" not in problem


def test_no_host_at_all_is_refused(write: Write):
    assert problems(lambda: load(write(AGENT.replace("http://127.0.0.1:9200", "[]")), {}))
    assert problems(lambda: load(write(AGENT.replace("  hosts: http://127.0.0.1:9200", "  shards: 1")), {})) == [
        "agent.yml:4: opensearch.hosts: is missing"
    ]


def test_a_missing_section_is_named(write: Write):
    assert problems(lambda: load(write(""), {})) == [
        "agent.yml:1: source: is missing",
        "agent.yml:1: opensearch: is missing",
    ]


@pytest.mark.parametrize(("zone", "near"), [("Europe/Berln", "Europe/Berlin"), ("utc2", ""), ("../../etc/passwd", ""),
                                            ("Europe", ""), ("''", "")])  # fmt: skip
def test_a_time_zone_that_does_not_exist_is_refused(write: Write, zone: str, near: str):
    text = AGENT.replace("opensearch:", f"  time_zone: {zone}\nopensearch:")
    (problem,) = problems(lambda: load(write(text), {}))
    assert problem.startswith("agent.yml:4: source.time_zone: got")
    assert near in problem


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("{ip: ip_address}", "did you mean"),
        ("{ip_address: 3}", "source.columns.ip_address: got 3"),
        ("{ip_address: 'a`b'}", "a column name"),
        ("{ip_address: detail, detail: detail}", "one column for two fields"),
        ("[a]", "a mapping"),
    ],
)
def test_bad_columns_are_refused(write: Write, columns: str, said: str):
    text = AGENT.replace("opensearch:", f"  columns: {columns}\nopensearch:")
    (problem,) = problems(lambda: load(write(text), {}))
    assert problem.startswith("agent.yml:4: source.columns")
    assert said in problem


@pytest.mark.parametrize("table", ["a`b", "a/b", "a.b", "''", "3", "a\\0b", "x" * 65])
def test_bad_tables_are_refused(write: Write, table: str):
    value = f'"{table}"' if table.startswith("a") else table
    assert (
        problems(lambda: load(write(AGENT.replace("opensearch:", f"  table: {value}\nopensearch:")), {}))
        or table == "''"
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [(5_000_000, 5_000_000), ("5000000", 5_000_000), ("5MB", 5 << 20), ("5mb", 5 << 20), ("5 MB", 5 << 20), ("5M", 5 << 20),
     ("5MiB", 5 << 20), ("512kb", 512 << 10), ("0.5MB", 512 << 10), ("1GB", 1 << 30), ("7B", 7)],
)  # fmt: skip
def test_sizes_are_bytes(text: object, size: int):
    assert Size(1, 1 << 40).read(text) == size


@given(st.integers(1, 1 << 40))
def test_a_size_survives_being_written(size: int):
    assert Size(1, 1 << 40).read(size_text(size)) == size


@pytest.mark.parametrize(
    ("at", "day", "time"),
    [
        ("04:20", "sunday", "04:20"),
        ("Monday 23:59", "monday", "23:59"),
        ("", "", ""),
        ("sunday 00:00", "sunday", "00:00"),
    ],
)
def test_the_weekly_time(write: Write, at: str, day: str, time: str):
    verify = load(write(AGENT + f'verify: {{at: "{at}"}}\n'), {}).verify
    assert (verify.weekday, verify.time) == (day, time)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("", None),
        ("[::1]:9465", ("::1", 9465)),
        ("metrics.local:1", ("metrics.local", 1)),
    ],
)
def test_the_listen_address(write: Write, listen: str, address: object):
    assert load(write(AGENT + f'http: {{listen: "{listen}"}}\n'), {}).http.address == address


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", None),
        ("  verify: false\n", "opensearch.verify"),
        ("  username: a\n  password: b\n", None),
        ("http: {listen: '0.0.0.0:9465'}\n", "http.listen"),
        ("http: {listen: '[::]:9465'}\n", "http.listen"),
        ("http: {listen: '[::1]:9465'}\n", None),
        ("http: {listen: ''}\n", None),
    ],
)
def test_what_weakens_security_is_said(write: Write, lines: str, said: str | None):
    weaknesses = load(write(AGENT + lines), {}).weaknesses()
    assert [weakness.split(" ")[0].rstrip(":") for weakness in weaknesses] == ([said] if said else [])


def test_unverified_tls_to_the_database_and_plain_http_are_said(write: Write):
    text = AGENT.replace("opensearch:", "  tls: {verify: false}\nopensearch:\n  username: a\n  password: b")
    weaknesses = load(write(text.replace("127.0.0.1:9200", "localhost.example:9200")), {}).weaknesses()
    assert [weakness.split(":")[0].split(" ")[0] for weakness in weaknesses] == [
        "source.tls.verify",
        "opensearch.hosts",
    ]


@pytest.mark.parametrize(
    ("address", "tls", "said"),
    [
        ("db.example:3306", "", ["source.tls"]),
        ("db.example:3306", "  tls: {enabled: false}\n", ["source.tls"]),
        ("db.example:3306", "  tls: {ca_file: ca.pem}\n", []),
        ("db.example:3306", "  tls: {verify: false}\n", ["source.tls.verify"]),
        ("localhost", "", []),
        ("[::1]:3306", "", []),
    ],
)
def test_a_database_elsewhere_that_nobody_checks_is_said(write: Write, address: str, tls: str, said: list[str]):
    text = AGENT.replace("127.0.0.1:3306", address).replace("opensearch:", f"{tls}opensearch:")
    weaknesses = load(write(text), {}).weaknesses()
    assert [weakness.split(" ")[0].rstrip(":") for weakness in weaknesses] == said


def test_a_database_behind_a_socket_is_on_this_machine(write: Write):
    text = AGENT.replace("127.0.0.1:3306/whmcs", "/whmcs?unix_socket=/run/mysqld/mysqld.sock")
    assert load(write(text), {}).weaknesses() == ()
