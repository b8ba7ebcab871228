"""Every filter, alone and combined, returns exactly the ids that the equivalent SQL returns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from demo.rows import rows
from tests.integration.searched import Searched, searched, value, word
from tests.world import Database

pytestmark = pytest.mark.integration

# One of them at a time, or the range may end before it begins.
_TIMES = {"last", "since", "until"}
NOW = datetime(2026, 11, 23, 21, 4, 5, tzinfo=UTC)
COMBINATIONS = 200

Choice = tuple[str, Any, str]
"""Option, its value, and the SQL that means the same."""


@pytest.fixture(scope="module")
def found(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    with searched(mariadb, opensearch, tmp_path_factory.mktemp("searched"), _fill(5_000)) as shipped:
        yield shipped


def test_each_filter_alone_finds_what_sql_finds(found: Searched) -> None:
    _compare_each(found, rows_in_all=5_000)


def test_an_id_in_the_column_only_is_what_column_only_finds(found: Searched) -> None:
    held = found.world.database.execute("SELECT service_id FROM seen WHERE service_id > 0 GROUP BY 1 LIMIT 50")
    for (service,) in held:
        expected = found.sql_ids([f"service_id = {service}"])
        assert found.ids(service=(str(service),), column_only=True) == expected


def test_two_hundred_combinations_find_what_sql_finds(found: Searched) -> None:
    _compare_combinations(found, limit=10_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("server", ["mariadb", "mysql9"])
def test_fifty_thousand_rows_are_found_as_sql_finds_them(
    server: str, opensearch: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    given = request.getfixturevalue(server)
    with searched(given if isinstance(given, str) else given.url, opensearch, tmp_path, _fill(50_000)) as shipped:
        assert len(shipped.ids(limit=60_000)) == 50_000
        _compare_each(shipped, rows_in_all=50_000)
        _compare_combinations(shipped, limit=60_000)


def _compare_each(shipped: Searched, *, rows_in_all: int) -> None:
    for option, asked, where in _every_choice(shipped):
        expected = shipped.sql_ids([where])
        assert shipped.ids(limit=60_000, **{option: asked}) == expected, (option, asked)
        assert expected, f"{option} {asked} proves nothing: SQL finds no row"
        assert len(expected) < rows_in_all, f"{option} {asked} proves nothing: SQL finds every row"


def _compare_combinations(shipped: Searched, *, limit: int) -> None:
    random = Random(9)
    choices = _every_choice(shipped)
    telling = 0
    for _ in range(COMBINATIONS):
        picked = _combination(random, choices)
        asked: dict[str, Any] = {}
        for option, given, _where in picked:
            asked[option] = (*asked.get(option, ()), *given) if isinstance(given, tuple) else given
        expected = shipped.sql_ids([where for *_, where in picked])
        assert shipped.ids(limit=limit, **asked) == expected, picked
        telling += bool(expected)
    assert telling > COMBINATIONS // 3, "most combinations find nothing: they prove too little"


def _combination(random: Random, choices: list[Choice]) -> list[Choice]:
    """Draw filters of different kinds; several context conditions and texts may stand together."""
    picked: list[Choice] = []
    for choice in random.sample(choices, k=random.choice((2, 2, 3, 4))):
        taken = {option for option, *_ in picked}
        if choice[0] in ("context", "text") or (
            choice[0] not in taken and not (choice[0] in _TIMES and taken & _TIMES)
        ):
            picked.append(choice)
    if random.random() < 0.4 and not any(option in _TIMES for option, *_ in picked):
        start = NOW - timedelta(seconds=random.randrange(40 * 86_400, 120 * 86_400))
        picked.append(("since", f"{start:%Y-%m-%dT%H:%M:%S}", f"created_at >= '{start:%Y-%m-%d %H:%M:%S}'"))
    return picked


def _fill(count: int) -> Any:
    def fill(database: Database) -> None:
        database.insert(rows(count, now=NOW, seed=9, days=120))

    return fill


def _every_choice(shipped: Searched) -> list[Choice]:
    return [
        *_column_choices(),
        *_id_choices(shipped),
        *_address_choices(shipped),
        *_context_choices(),
        *_text_choices(),
    ]


def _column_choices() -> list[Choice]:
    return [
        ("module", ("impulseminio",), "module_slug = 'impulseminio'"),
        ("module", ("impulsedb-postgres,impulsecore",), "module_slug IN ('impulsedb-postgres', 'impulsecore')"),
        ("module", ("ImpulseCache",), "module_slug = 'ImpulseCache'"),
        ("module", ("impulse?uth",), "module_slug LIKE 'impulse_uth'"),
        ("action", ("cron.task_failed",), "action = 'cron.task_failed'"),
        ("action", ("provisioning_held",), "action = 'provisioning_held'"),
        ("action", ("license.*",), "action LIKE 'license.%'"),
        ("action", ("*.updated", "patch.*"), "action LIKE '%.updated' OR action LIKE 'patch.%'"),
        ("severity", ("warn,error",), "severity IN ('warn', 'error')"),
        ("severity", ("error",), "severity = 'error'"),
        ("source", ("cron",), "source = 'cron'"),
        ("source", ("admin", "customer"), "source IN ('admin', 'customer')"),
        ("admin", ("5",), "admin_id = 5"),
        ("since", "2026-08-10", "created_at >= '2026-08-10'"),
        ("since", "2026-08-20T06:30:00+01:00", "created_at >= '2026-08-20 05:30:00'"),
        ("until", "2026-10-31", "created_at < '2026-11-01'"),
        ("until", "2026-11-05T12:30:15", "created_at <= '2026-11-05 12:30:15'"),
        ("last", "60d", "created_at >= UTC_TIMESTAMP() - INTERVAL 60 DAY"),
    ]


def _id_choices(shipped: Searched) -> list[Choice]:
    execute = shipped.world.database.execute
    in_column = execute("SELECT service_id, client_id FROM mod_impulsecore_audit_log WHERE service_id > 0 LIMIT 3")
    choices: list[Choice] = []
    for service, client in in_column:
        choices += [
            ("service", (str(service),), _held("service_id", service)),
            ("client", (str(client),), _held("client_id", client)),
        ]
    several = [str(service) for service, _ in in_column]
    where = " OR ".join(_held("service_id", service) for service in several)
    return [*choices, ("service", (",".join(several),), where)]


def _held(column: str, number: object) -> str:
    """Return SQL for an id in the column or in the context."""
    return f"{column} = {number} OR {value(column)} = '{number}'"


def _address_choices(shipped: Searched) -> list[Choice]:
    execute = shipped.world.database.execute
    sql = "SELECT DISTINCT ip_address FROM mod_impulsecore_audit_log WHERE ip_address LIKE %s LIMIT 1"
    ((four,),) = execute(sql, ("198.51.100.%",))
    ((six,),) = execute(sql, ("2001:db8:%",))
    return [
        ("ip", (four,), f"ip_address = '{four}'"),
        ("ip", (six.upper(),), f"ip_address = '{six}'"),
        ("ip", ("203.0.113.0/25",), f"{_V4} >= INET_ATON('203.0.113.0') AND {_V4} <= INET_ATON('203.0.113.127')"),
        ("ip", ("198.51.100.77/24", four), "ip_address LIKE '198.51.100.%'"),
        ("ip", ("2001:db8::/32",), "ip_address LIKE '2001:db8:%'"),
        ("ip", ("::/0",), "ip_address LIKE '%:%'"),
        ("ip", ("0.0.0.0/0",), "ip_address LIKE '%.%.%.%'"),
    ]


_V4 = "INET_ATON(ip_address)"


def _context_choices() -> list[Choice]:
    number = f"CAST({value('duration_ms')} AS DOUBLE)"
    seconds = f"CAST({value('seconds')} AS DOUBLE)"
    cve = "JSON_CONTAINS(JSON_EXTRACT(json, '$.cve_id'), '\"CVE-2025-1{0:03}\"')"
    some = " OR ".join(cve.format(each) for each in range(60))
    named = ",".join(f"CVE-2025-1{each:03}" for each in range(60))
    return [
        ("context", ("server_id=7",), f"{value('server_id')} = '7'"),
        ("context", ("server_id=7,11,12",), f"{value('server_id')} IN ('7', '11', '12')"),
        ("context", ("server.id=9",), f"{value('server.id')} = '9'"),
        ("context", ("region=eu-central-frankfurt",), f"{value('region')} = 'eu-central-frankfurt'"),
        ("context", ("region!=eu-central-frankfurt",), f"{value('region')} <> 'eu-central-frankfurt'"),
        ("context", ("reason~PAY",), f"LOWER({value('reason')}) LIKE '%pay%'"),
        ("context", ('reason="Abuse report #4411"',), f"{value('reason')} = 'Abuse report #4411'"),
        ("context", ("duration_ms>=45000",), f"{number} >= 45000"),
        ("context", ("duration_ms<1000.5",), f"{number} < 1000.5"),
        ("context", ("seconds>20", "seconds<=30.25"), f"{seconds} > 20 AND {seconds} <= 30.25"),
        ("context", ("reboot_required=true",), f"{value('reboot_required')} = 'true'"),
        ("context", ("exception=PDOException",), f"{value('exception')} = 'PDOException'"),
        ("context", ("exception~connect",), f"LOWER({value('exception')}) LIKE '%connect%'"),
        ("context", (f"cve_id={named}",), some),
        ("context", ("snapshot_id=*",), f"{value('snapshot_id')} IS NOT NULL"),
        ("context", ("value=done",), "context LIKE '%done%'"),
    ]


def _text_choices() -> list[Choice]:
    return [
        ("text", ("suspended",), word("suspended")),
        ("text", ("overdue payment",), f"{word('overdue')} AND {word('payment')}"),
        ("text", ('"error code"',), word("error code")),
        ("text", ('"order of client"',), word("order of client")),
    ]
