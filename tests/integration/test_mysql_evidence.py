"""Each probe tells the living from the dead in every way a transaction can live, on every server it works on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from agent.errors import PermanentError
from agent.mysql import identity
from agent.mysql.evidence import objection, probes
from agent.mysql.probe import Probe
from demo.mariadb_server import MariaDB
from tests.integration.conftest import OwnServer
from tests.integration.mysql_source import opened
from tests.world import Database

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
INSERT = f"INSERT INTO {TABLE} (module_slug, source, action) VALUES ('m', 'cron', 'a')"
EXACT = ("metadata_locks", "metadata_lock_info")


@pytest.fixture(
    params=["mariadb", "with_schema", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bare", "mysql"))]
)
def probed(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a database on each server, by the evidence it offers."""
    fresh = Database(str(request.getfixturevalue(request.param)))
    fresh.create_table()
    yield fresh
    fresh.drop()


@dataclass
class Writer:
    """One connection that writes to the table."""

    database: Database

    def __post_init__(self) -> None:
        self.connection = self.database.connect()

    def __call__(self, *statements: str) -> Writer:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return self

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def writer(probed: Database) -> Iterator[Callable[[], Writer]]:
    made: list[Writer] = []

    def make() -> Writer:
        made.append(Writer(probed))
        return made[-1]

    yield make
    for one in made:
        if one.connection.open:
            one.close()


def working(database: Database, *, exact_only: bool = False, url: str | None = None) -> list[Probe]:
    opened_database, table = opened(url or database.url)
    found = probes(opened_database, table, monotonic=time.monotonic, sleep=time.sleep)
    names = EXACT if exact_only else (*EXACT, "innodb_trx")
    return [probe for probe in found if probe.name in names and probe.available().ok]


def gone(probe: Probe, first: frozenset[str]) -> bool:
    return not first & probe.holders()


def same(probe: Probe, now: frozenset[str], first: frozenset[str]) -> bool:
    """Compare samples; innodb_trx may also show transactions of the server's own and of other tests."""
    return now == first if probe.name in EXACT else now >= first


@pytest.mark.own_accounts("knows what each of its own servers offers")
def test_every_server_offers_one_exact_kind_of_evidence_or_none(
    probed: Database, request: pytest.FixtureRequest
) -> None:
    is_bare = request.node.callspec.params["probed"] == "bare"
    assert len(working(probed, exact_only=True)) == (0 if is_bare else 1)


def test_an_open_transaction_is_held_until_it_commits(probed: Database, writer: Callable[[], Writer]) -> None:
    for probe in working(probed):
        before = probe.holders()
        assert same(probe, before, frozenset())
        one = writer()("BEGIN", INSERT)
        first = probe.holders() - before
        assert first
        for _ in range(3):
            time.sleep(0.05)
            one(INSERT)
            assert same(probe, probe.holders(), first)
        one("COMMIT")
        assert gone(probe, first)


def test_a_rolled_back_transaction_is_gone(probed: Database, writer: Callable[[], Writer]) -> None:
    for probe in working(probed):
        one = writer()("BEGIN", INSERT)
        first = probe.holders()
        one("ROLLBACK")
        assert first
        assert gone(probe, first)


def test_a_later_transaction_of_the_same_connection_is_another(probed: Database, writer: Callable[[], Writer]) -> None:
    for probe in working(probed, exact_only=True):
        one = writer()("BEGIN", INSERT)
        time.sleep(0.05)
        first = probe.holders()
        for _ in range(3):
            one("COMMIT", "BEGIN", INSERT)
            now = probe.holders()
            assert now
            assert not first & now
        one("ROLLBACK")


def test_two_transactions_are_told_apart(probed: Database, writer: Callable[[], Writer]) -> None:
    for probe in working(probed):
        early = writer()("BEGIN", INSERT)
        first = probe.holders()
        late = writer()("BEGIN", INSERT)
        both = probe.holders()
        assert both - first
        early("COMMIT")
        assert gone(probe, first)
        assert same(probe, probe.holders(), both - first)
        late("ROLLBACK")


def test_an_insert_asleep_in_mid_statement_is_held(probed: Database, writer: Callable[[], Writer]) -> None:
    for probe in working(probed):
        one = writer()
        slow = f"INSERT INTO {TABLE} (module_slug, source, action) VALUES ('a', 'b', 'c'), ('a', 'b', SLEEP(1))"
        thread = threading.Thread(target=lambda one=one, slow=slow: one(slow))
        thread.start()
        while not probe.holders():
            time.sleep(0.01)
        first = probe.holders()
        assert first
        assert not gone(probe, first)
        thread.join()
        assert gone(probe, first)


@pytest.mark.parametrize("statement", [INSERT.replace("INSERT", "INSERT LOW_PRIORITY", 1), f"DELETE FROM {TABLE}"])
def test_other_ways_to_write_hold_too(probed: Database, writer: Callable[[], Writer], statement: str) -> None:
    for probe in working(probed, exact_only=True):
        one = writer()("BEGIN", statement)
        assert probe.holders()
        one("ROLLBACK")
        one(f"LOCK TABLES {TABLE} WRITE")
        assert probe.holders()
        one("UNLOCK TABLES")
        assert probe.holders() == frozenset()


def test_readers_and_writers_elsewhere_hold_nothing_up(probed: Database, writer: Callable[[], Writer]) -> None:
    probed.execute("CREATE TABLE elsewhere (id INT AUTO_INCREMENT PRIMARY KEY)")
    for probe in working(probed, exact_only=True):
        reader = writer()("BEGIN", f"SELECT * FROM {TABLE}")
        elsewhere = writer()("BEGIN", "INSERT INTO elsewhere VALUES ()")
        assert probe.holders() == frozenset()
        reader("ROLLBACK")
        elsewhere("ROLLBACK")


def test_a_prepared_transaction_holds_whatever_becomes_of_its_session(
    probed: Database, writer: Callable[[], Writer]
) -> None:
    for probe in working(probed):
        one = writer()("XA START 'x'", INSERT)
        first = probe.holders()
        one("XA END 'x'", "XA PREPARE 'x'")
        assert first
        assert first <= probe.holders()
        one.close()
        time.sleep(0.2)
        assert first <= probe.holders()
        probed.execute("XA COMMIT 'x'")
        assert gone(probe, first)


def test_a_transaction_that_is_prepared_and_left_between_two_samples_holds(
    probed: Database, writer: Callable[[], Writer]
) -> None:
    for probe in working(probed):
        one = writer()("XA START 'y'", INSERT)
        first = probe.holders()
        one("XA END 'y'", "XA PREPARE 'y'").close()
        time.sleep(0.2)
        assert first
        assert first <= probe.holders()
        probed.execute("XA ROLLBACK 'y'")
        assert gone(probe, first)


def test_a_stale_answer_of_innodb_trx_is_never_believed(probed: Database, writer: Callable[[], Writer]) -> None:
    probe = next(probe for probe in working(probed) if probe.name == "innodb_trx")
    for _ in range(3):
        probed.execute("SELECT COUNT(*) FROM information_schema.innodb_trx")
        one = writer()("BEGIN", INSERT)
        assert probe.holders()
        one("ROLLBACK")


def test_a_view_that_another_reader_keeps_stale_is_lost_evidence(probed: Database) -> None:
    opened_database, table = opened(probed.url)
    naps: list[float] = []
    probe = probes(opened_database, table, monotonic=time.monotonic, sleep=naps.append)[2]

    with suppress(PermanentError):
        probe.holders()

    assert len(naps) <= 50


def test_the_least_privileged_account_learns_why_not(probed: Database) -> None:
    url = probed.create_user("SELECT ON {database}." + TABLE)
    opened_database, table = opened(url)

    locks, plugin, transactions = probes(opened_database, table, monotonic=time.monotonic, sleep=time.sleep)

    assert not locks.available().ok
    is_collecting = probed.execute("SELECT @@performance_schema")[0][0]
    assert ("GRANT SELECT ON" if is_collecting else "performance_schema is off") in locks.available().reason
    assert not transactions.available().ok
    assert "PROCESS" in transactions.available().reason
    if plugin.available().ok:
        assert plugin.holders() == frozenset()
    with pytest.raises(PermanentError):
        locks.holders()


@pytest.mark.parametrize(
    ("off", "on"),
    [
        (
            "UPDATE performance_schema.setup_instruments SET enabled = 'NO' WHERE name = 'wait/lock/metadata/sql/mdl'",
            "UPDATE performance_schema.setup_instruments SET enabled = 'YES' WHERE name = 'wait/lock/metadata/sql/mdl'",
        ),
        (
            "UPDATE performance_schema.setup_consumers SET enabled = 'NO' WHERE name = 'global_instrumentation'",
            "UPDATE performance_schema.setup_consumers SET enabled = 'YES' WHERE name = 'global_instrumentation'",
        ),
    ],
    ids=["instrument", "everything"],
)
def test_collection_switched_off_is_lost_evidence_not_an_empty_answer(with_schema: str, off: str, on: str) -> None:
    fresh = Database(with_schema)
    fresh.create_table()
    probe = working(fresh, exact_only=True)[0]
    try:
        fresh.execute(off)
        assert not probe.available().ok
        with pytest.raises(PermanentError, match="evidence is lost"):
            probe.holders()
    finally:
        fresh.execute(on)
        assert probe.holders() == frozenset()
        fresh.drop()


def test_a_plugin_unloaded_at_run_time_is_lost_evidence(private_mariadb: Callable[..., MariaDB]) -> None:
    fresh = Database(private_mariadb(metadata_lock_info=True).url)
    fresh.create_table()
    probe = working(fresh, exact_only=True)[0]
    assert probe.name == "metadata_lock_info"
    assert probe.holders() == frozenset()

    fresh.execute("UNINSTALL SONAME 'metadata_lock_info'")

    assert not probe.available().ok
    with pytest.raises(PermanentError, match="evidence is lost"):
        probe.holders()


def test_a_prepared_transaction_survives_a_restart_of_the_server(own_server: Callable[..., OwnServer]) -> None:
    server = own_server()
    fresh = Database(server.url)
    fresh.create_table()
    for probe in working(fresh):
        one = Writer(fresh)("XA START 'z'", INSERT)
        first = probe.holders()
        one("XA END 'z'", "XA PREPARE 'z'").close()
        server.restart()
        fresh.connection = fresh.connect()
        assert first
        assert first <= probe.holders()
        fresh.execute("XA COMMIT 'z'")
        assert gone(probe, first)


def test_a_read_only_server_is_no_witness(private_mariadb: Callable[..., MariaDB]) -> None:
    fresh = Database(private_mariadb(extra=["--read-only=1"]).url)
    fresh.create_table()
    opened_database, table = opened(fresh.url)

    source = identity(opened_database, table)

    assert source.is_read_only
    assert "read-only" in (objection(source) or "")


def test_a_writer_has_no_objection(database: Database) -> None:
    opened_database, table = opened(database.url)

    assert objection(identity(opened_database, table)) is None


def test_random_transactions_are_never_declared_gone_early(probed: Database, writer: Callable[[], Writer]) -> None:
    """What commits after the first sample was in it, or is held by what was."""
    probe = next(iter(working(probed, exact_only=True)), None)
    if probe is None:
        pytest.skip("only exact evidence counts so precisely")
    live: dict[int, Writer] = {}
    for turn in range(60):
        key = turn % 7
        if key in live:
            live.pop(key)("COMMIT" if turn % 2 else "ROLLBACK")
        else:
            live[key] = writer()("BEGIN", INSERT)
        holders = probe.holders()
        assert len(holders) == len(live)
    for one in live.values():
        one("ROLLBACK")
