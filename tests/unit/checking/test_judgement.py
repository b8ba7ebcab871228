"""What the doctor says of facts: each misconfiguration is found and its remedy named, and a sound thing is OK."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.checking import (
    cluster,
    configuration,
    dashboards,
    evidence,
    grants,
    host,
    indices,
    permissions,
    progress,
    retention,
    source,
)
from agent.checking.finding import Finding, Level, fail, failure, is_healthy, ok, warn
from agent.config.alerts import AlertSettings
from agent.config.context_fields import ContextFields
from agent.config.loading import Configuration
from agent.config.retention import RetentionSettings
from agent.config.settings import Settings
from agent.content.fields import FieldDrift
from agent.content.report import Failure, Report
from agent.errors import ConfigError
from agent.mysql.core_settings import CoreRetention
from agent.mysql.facts import ServerFacts
from agent.mysql.grants import Grant
from agent.mysql.replica_lag import ReplicaLag
from agent.mysql.schema import Column, Table
from agent.mysql.source_identity import SourceIdentity
from agent.opensearch.facts import Disk, Health, Version
from agent.opensearch.partition_facts import PartitionFacts
from agent.opensearch.permissions import Permission
from agent.opensearch.templates import Action, Installed

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SERVER = ServerFacts(
    max_allowed_packet=16 << 20,
    now="2026-11-23 12:00:00.000000",
    time_zone="UTC",
    newest_created_at="2026-11-23 11:59:00",
    tls_cipher="",
    id_type="int(10) unsigned",
    is_id_auto_increment=True,
    created_at_type="timestamp",
    has_created_at_index=True,
    engine="InnoDB",
    has_performance_schema=True,
)
IDENTITY = SourceIdentity(
    server="s",
    version="8.0.36",
    vendor="mysql",
    is_read_only=False,
    is_replica=False,
    is_galera=False,
    table_created=None,
)
TABLE = Table(
    schema="whmcs",
    name="audit",
    columns=(
        Column(field="id", name="id", data_type="int", column_type="int(10) unsigned", is_auto_increment=True),
        Column(field="created_at", name="created_at", data_type="timestamp", column_type="timestamp"),
    ),
    known=2,
    id_index="PRIMARY",
    created_at_index="created_at",
    engine="InnoDB",
    is_case_sensitive=True,
)


def only(findings: object) -> Finding:
    """Return the one finding that is not OK."""
    found = [findings] if isinstance(findings, Finding) else list(findings)
    bad = [finding for finding in found if finding.level is not Level.OK]
    assert len(bad) == 1, found
    assert bad[0].remedy
    return bad[0]


def sound(findings: object) -> bool:
    found = [findings] if isinstance(findings, Finding) else list(findings)
    return bool(found) and all(finding.level is Level.OK for finding in found)


def test_a_line_reads_level_name_finding_remedy_and_cannot_be_forged():
    assert fail("x", "is bad", "mend it").as_line() == "FAIL  x: is bad (mend it)"
    assert ok("x", "fine").as_line() == "OK    x: fine"
    forged = warn("x", "a\nOK    y: fine\x1b[31m", "mend it").as_line()
    assert "\n" not in forged
    assert "\x1b" not in forged


def test_only_a_fail_makes_the_whole_unhealthy():
    assert is_healthy([ok("a", "b"), warn("a", "b", "c")])
    assert not is_healthy([ok("a", "b"), fail("a", "b", "c")])


def test_an_error_becomes_a_line_with_its_remedy():
    error = ConfigError("MySQL refuses", where="mysql://db", got="Access denied", remedy="correct the user")
    assert (
        failure("mysql", error).as_line()
        == "FAIL  mysql: MySQL refuses at mysql://db: Access denied (correct the user)"
    )


# -- configuration and host -------------------------------------------------------------------------------------------


def test_each_weakness_is_a_warning_with_the_key_to_change():
    settings = Settings.model_validate(
        {
            "source": {"url": "mysql+pymysql://u@db/whmcs", "tls": {"verify": False}},
            "opensearch": {"hosts": ["https://o:9200"], "verify": False},
            "http": {"listen": "0.0.0.0:9465"},
        }
    )
    found = Configuration(
        settings=settings, retention=RetentionSettings(), context_fields=ContextFields(), alerts=AlertSettings()
    )
    warnings = [finding for finding in configuration.files(found) if finding.level is Level.WARN]
    assert [finding.finding.partition(" ")[0] for finding in warnings] == [
        "source.tls.verify",
        "opensearch.verify",
        "http.listen:",
    ]
    assert "ca_file" in warnings[0].remedy
    assert "127.0.0.1" in warnings[2].remedy


@pytest.mark.parametrize(
    ("policy", "deletes", "expires"),
    [
        ({}, False, False),
        ({"rows": {"days": 90}, "documents": {"days": 90}}, False, True),
        ({"mode": "enforce", "rows": {"days": 90}, "documents": {"days": 90}}, True, True),
        ({"mode": "enforce", "documents": {"days": 0}}, False, False),
        ({"mode": "enforce", "follow_core_setting": True}, True, True),
        (
            {"mode": "enforce", "rules": [{"name": "x", "match": {"severity": "info"}, "rows": {"days": 9}}]},
            True,
            True,
        ),
    ],
)
def test_whether_rows_go_follows_from_mode_rules_and_core(policy, deletes, expires):
    found = RetentionSettings.model_validate(policy)
    assert (configuration.deletes_rows(found), configuration.expires_rows(found)) == (deletes, expires)


def test_a_secret_file_open_to_others_is_found():
    assert "chmod 640 /etc/pw" in only(host.secrets({"/etc/pw": 0o100644})).remedy
    assert sound(host.secrets({"/etc/pw": 0o100640}))


FOLDER = host.Folder(
    path="/a/b", nearest="/a", is_folder=True, is_writable=True, free_bytes=50 << 30, total_bytes=100 << 30
)


def test_a_folder_must_be_one_writable_and_roomy():
    assert sound(host.folder("archive", FOLDER))
    assert only(host.folder("archive", replace(FOLDER, is_folder=False))).level is Level.FAIL
    assert "mkdir -p /a/b" in only(host.folder("archive", replace(FOLDER, is_writable=False))).remedy
    assert only(host.folder("archive", replace(FOLDER, free_bytes=1 << 29))).level is Level.WARN
    assert only(host.folder("archive", replace(FOLDER, free_bytes=2 << 30))).level is Level.WARN


def test_a_port_is_free_ours_or_taken():
    assert sound(host.port(None))
    assert sound(host.port(host.Port(address="a:1", problem="", is_ours=False)))
    assert sound(host.port(host.Port(address="a:1", problem="in use", is_ours=True)))
    assert "http.listen" in only(host.port(host.Port(address="a:1", problem="in use", is_ours=False))).remedy


@pytest.mark.parametrize(("seconds", "is_sound"), [(30, True), (31, False), (-30, True), (-31, False)])
def test_a_skewed_clock_is_found(seconds, is_sound):
    assert sound(host.clock("mysql", NOW + timedelta(seconds=seconds), NOW)) is is_sound


# -- the source -------------------------------------------------------------------------------------------------------


def test_a_writable_server_of_today_is_sound():
    assert sound(source.server(IDENTITY, "mysql://db:3306/", deletes=True))
    assert sound(source.table(TABLE, SERVER, expires=True))


@pytest.mark.parametrize(("version", "is_sound"), [("5.7.44", True), ("5.6.51", False), ("10.1.1-MariaDB", True)])
def test_an_old_mysql_is_found(version, is_sound):
    assert sound(source.server(replace(IDENTITY, version=version), "x", deletes=False)) is is_sound


def test_an_old_mariadb_is_found():
    old = replace(IDENTITY, version="10.2.44-MariaDB", vendor="mariadb")
    assert only(source.server(old, "x", deletes=False)).name == "mysql version"


@pytest.mark.parametrize("reader", [{"is_read_only": True}, {"is_replica": True}])
def test_a_reader_is_a_warning_and_a_failure_when_rows_are_to_be_deleted(reader):
    found = replace(IDENTITY, **reader)
    assert only(source.server(found, "x", deletes=False)).level is Level.WARN
    told = only(source.server(found, "x", deletes=True))
    assert told.level is Level.FAIL
    assert "writer" in told.remedy


@pytest.mark.parametrize(
    ("where", "cipher", "is_verified", "is_sound"),
    [
        ("mysql://127.0.0.1:3306/w", "", False, True),
        ("mysql://localhost:3306/w", "", False, True),
        ("mysql://localhost:3306/w", "TLS_AES_256", False, True),
        ("mysql://[::1]:3306/w", "", False, True),
        ("mysql://127.0.0.1.example:3306/w", "", False, False),
        ("mysql://db.example:3306/w", "", False, False),
        ("mysql://db.example:3306/w", "TLS_AES_256", False, False),
        ("mysql://db.example:3306/w", "TLS_AES_256", True, True),
    ],
)
def test_a_connection_to_another_machine_that_is_plain_or_unverified_is_found(where, cipher, is_verified, is_sound):
    told = source.tls(replace(SERVER, tls_cipher=cipher), where, is_verified=is_verified)
    assert sound(told) is is_sound
    assert is_sound or "source.tls" in told.remedy


def test_an_id_that_is_no_auto_increment_primary_key_is_found():
    told = only(source.table(TABLE, replace(SERVER, is_id_auto_increment=False), expires=False))
    assert (told.level, "AUTO_INCREMENT" in told.remedy) == (Level.FAIL, True)
    assert only(source.table(replace(TABLE, id_index="some"), SERVER, expires=False)).name == "table id"


def test_a_missing_index_matters_only_when_rows_expire():
    bare = replace(SERVER, has_created_at_index=False)
    assert "CREATE INDEX" in only(source.table(TABLE, bare, expires=True)).remedy
    assert sound(source.table(TABLE, bare, expires=False))


def test_a_table_without_transactions_is_found():
    assert "InnoDB" in only(source.table(TABLE, replace(SERVER, engine="MyISAM"), expires=False)).remedy


@pytest.mark.parametrize(
    ("kind", "max_id", "is_sound"),
    [
        ("int(10) unsigned", int(0.79 * 2**32), True),
        ("int(10) unsigned", int(0.81 * 2**32), False),
        ("int(11)", int(0.81 * 2**31), False),
        ("bigint(20)", 2**32, True),
        ("bigint unsigned", None, True),
    ],
)
def test_ids_that_run_out_are_found(kind, max_id, is_sound):
    assert sound(source.ids_left(replace(SERVER, id_type=kind), max_id)) is is_sound


@pytest.mark.parametrize(
    ("newest", "zone", "is_sound"),
    [
        ("2026-11-23 12:02:00", "UTC", True),
        ("2026-11-23 12:02:01", "UTC", False),
        ("2026-11-23 13:00:00", "Europe/Berlin", True),
        ("0000-00-00 00:00:00", "UTC", True),
        (None, "UTC", True),
    ],
)
def test_a_newest_row_of_the_future_names_the_zone_to_set(newest, zone, is_sound):
    told = source.newest_row(replace(SERVER, newest_created_at=newest), zone)
    assert sound(told) is is_sound
    assert is_sound or "source.time_zone" in told.remedy


def test_packets_too_small_for_the_largest_row_are_found():
    enough = 2 * (1 << 20) + (1 << 20)
    assert sound(source.packets(replace(SERVER, max_allowed_packet=enough), max_bytes=1 << 20))
    told = source.packets(replace(SERVER, max_allowed_packet=enough - 1), max_bytes=1 << 20)
    assert "max_allowed_packet" in only(told).remedy


# -- grants and evidence ----------------------------------------------------------------------------------------------

NEED = grants.Need(
    evidence="metadata_locks",
    wanted_evidence="auto",
    has_performance_schema=True,
    deletes=False,
    expires=True,
    follows_core=False,
)
ON = ("`w`.`audit`", "`w`.`audit`", "performance_schema.metadata_locks", "performance_schema.setup_instruments", "*.*")
PRIVILEGES = ("SELECT", "DELETE", "SELECT", "SELECT", "PROCESS")


def held(*missing: int) -> list[Grant]:
    both = zip((*PRIVILEGES, "SELECT"), (*ON, "`w`.`settings`"), strict=True)
    return [
        Grant(privilege=what, on=on, is_held=place not in missing, statement=f"GRANT {what} ON {on} TO 'u'@'%'")
        for place, (what, on) in enumerate(both)
    ]


LEAST = (1, 4, 5)  # what the account lacks under deploy/grants.sql as it stands


def test_the_shipped_grants_are_neither_too_few_nor_too_many():
    assert sound(grants.grants(held(*LEAST), NEED))
    assert sound(grants.needless([]))


@pytest.mark.parametrize(
    ("missing", "need", "level"),
    [
        (0, {}, Level.FAIL),
        (1, {"deletes": True}, Level.FAIL),
        (2, {"evidence": "grace"}, Level.WARN),
        (2, {"wanted_evidence": "metadata_locks", "evidence": "grace"}, Level.FAIL),
        (3, {"evidence": "innodb_trx"}, Level.WARN),
        (4, {"wanted_evidence": "innodb_trx", "evidence": "grace", "has_performance_schema": False}, Level.FAIL),
        (5, {"follows_core": True}, Level.WARN),
    ],
)
def test_each_missing_grant_is_named_alone_with_its_statement(missing, need, level):
    wanted = {4} if need.get("evidence") == "innodb_trx" else set()
    lacking = ({*LEAST, missing} - wanted) | ({missing} if missing in LEAST else set())
    told = [f for f in grants.grants(held(*lacking), replace(NEED, **need)) if "not granted, needed" in f.finding]
    assert [(finding.level, finding.remedy) for finding in told] == [(level, held()[missing].statement)]


def test_a_grant_of_no_use_is_found():
    told = only(grants.grants(held(4, 5), replace(NEED, expires=False)))
    assert told.name == "grant DELETE ON w.audit"
    assert told.remedy.startswith("REVOKE DELETE ON `w`.`audit` FROM")
    assert "SELECT ON w.*" in only(grants.needless(["SELECT ON w.*"])).finding


def judged(**changes: object) -> Finding:
    given = {"wanted": "auto", "taken": "metadata_locks", "reason": "exact", "objection": None, "grants": {}}
    return evidence.evidence(**given | changes)


def test_exact_evidence_and_chosen_evidence_are_sound():
    assert sound(judged())
    assert sound(judged(taken="metadata_lock_info"))
    assert sound(judged(wanted="grace", taken="grace"))
    assert sound(judged(wanted="grace", taken="grace", objection="Galera"))
    assert sound(judged(wanted="innodb_trx", taken="innodb_trx"))


@pytest.mark.parametrize(("wanted", "level"), [("auto", Level.WARN), ("metadata_locks", Level.FAIL)])
def test_evidence_on_a_replica_or_galera_is_refused_and_grace_is_named(wanted, level):
    told = judged(wanted=wanted, taken="grace", objection="a replica does not know its primary's transactions")
    assert told.level is level
    assert "tail.gaps.evidence: grace" in told.remedy
    assert "replica" in told.finding


def test_lesser_evidence_names_the_grant_that_would_open_the_better():
    statement = "GRANT SELECT ON performance_schema.metadata_locks TO 'u'@'%'"
    for taken in ("innodb_trx", "grace"):
        told = judged(taken=taken, grants={"performance_schema.metadata_locks": statement})
        assert (told.level, told.remedy) == (Level.WARN, statement)
    told = judged(wanted="metadata_locks", taken="grace", reason="no grant", grants={"x": statement})
    assert (told.level, told.remedy) == (Level.FAIL, statement)


def test_a_grant_on_a_schema_that_is_off_is_not_asked_for():
    assert grants.exact_evidence_grants(held(2, 3), has_performance_schema=False) == {}
    assert len(grants.exact_evidence_grants(held(2, 3), has_performance_schema=True)) == 2


# -- retention's own --------------------------------------------------------------------------------------------------


def test_cores_setting_that_cannot_be_read_is_found():
    assert sound(retention.core(CoreRetention(days=90, reason="key")))
    assert sound(retention.core(CoreRetention(days=0, reason="key")))
    assert "follow_core_setting" in only(retention.core(CoreRetention(days=None, reason="no table"))).remedy


def test_a_replica_that_would_hold_retention_up_is_found():
    assert sound(retention.replica("r", ReplicaLag(seconds=10, reason=""), most_seconds=10))
    assert only(retention.replica("r", ReplicaLag(seconds=11, reason=""), most_seconds=10))
    told = only(retention.replica("r", ReplicaLag(seconds=None, reason="denied"), most_seconds=10))
    assert "REPLICATION CLIENT" in told.remedy


# -- the cluster ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "number", "is_sound"),
    [("opensearch", "2.11.0", True), ("opensearch", "2.10.9", False), ("elasticsearch", "8.1.0", False)],
)
def test_a_cluster_of_the_wrong_kind_or_age_is_found(distribution, number, is_sound):
    told = cluster.version(Version(cluster_name="c", distribution=distribution, number=number), "http://o")
    assert sound(told) is is_sound


GREEN = Health(status="green", nodes=3, data_nodes=3, shards=9)


def test_colour_and_copies_without_a_place_are_found():
    assert sound(cluster.health(GREEN, 2))
    assert only(cluster.health(replace(GREEN, status="red"), 1)).level is Level.FAIL
    assert only(cluster.health(replace(GREEN, status="yellow"), 1)).level is Level.WARN
    told = only(cluster.health(replace(GREEN, data_nodes=1), 1))
    assert "opensearch.replicas: 0" in told.remedy


@pytest.mark.parametrize(
    ("free", "level"), [(None, Level.OK), (50, Level.OK), (49, Level.WARN), (2, Level.WARN), (1, Level.FAIL)]
)
def test_shards_that_run_out_are_found(free, level):
    told = cluster.shard_headroom(free, 2)
    assert told.level is level
    assert level is Level.OK or "max_shards_per_node" in told.remedy


@pytest.mark.parametrize(
    ("used", "level"), [(84, Level.OK), (85, Level.WARN), (90, Level.WARN), (94, Level.WARN), (95, Level.FAIL)]
)
def test_a_disk_at_a_watermark_is_found(used, level):
    [told] = cluster.disks([Disk(node="n", total_bytes=100, free_bytes=100 - used)])
    assert told.level is level


def test_blocks_name_the_call_that_lifts_them():
    assert sound(cluster.blocks({}, cluster=[]))
    told = only(cluster.blocks({"a": ["index.blocks.read_only_allow_delete"]}, cluster=[]))
    assert told.remedy == 'PUT /a/_settings {"index.blocks.read_only_allow_delete": null}'
    assert only(cluster.blocks({"a": ["closed"]}, cluster=[])).remedy == "POST /a/_open"
    assert "_cluster/settings" in only(cluster.blocks({}, cluster=["cluster.blocks.read_only"])).remedy


def test_a_policy_that_fights_retention_is_found():
    assert sound(cluster.lifecycle({}))
    assert sound(cluster.lifecycle(None))
    assert "_ism/remove/impulse-audit-x" in only(cluster.lifecycle({"impulse-audit-x": "delete-after-30d"})).remedy


@pytest.mark.parametrize(
    ("action", "remedy"), [(Action.CREATED, "setup"), (Action.UPGRADED, "setup"), (Action.DRIFTED, "--force")]
)
def test_template_drift_is_found(action, remedy):
    assert remedy in only(cluster.templates([Installed(name="t", action=action, detail="why")])).remedy
    assert sound(cluster.templates([Installed(name="t", action=Action.UNCHANGED)]))


PARTITION = PartitionFacts(
    partition="2026.11",
    index="a-2026.11-000001",
    is_current=True,
    dynamic="strict",
    fields=89,
    fields_limit=100,
    aliases=frozenset(("a", "all")),
)


@pytest.mark.parametrize(
    ("change", "level", "remedy"),
    [
        ({"dynamic": "true"}, Level.FAIL, "rebuild"),
        ({"fields": 90}, Level.WARN, "total_fields.limit"),
        ({"aliases": frozenset(("a",))}, Level.WARN, "setup"),
    ],
)
def test_a_partition_that_is_not_as_it_should_be_is_found(change, level, remedy):
    assert sound(indices.partitions([PARTITION], read_aliases=("a", "all")))
    told = only(indices.partitions([replace(PARTITION, **change)], read_aliases=("a", "all")))
    assert told.level is level
    assert remedy in told.remedy


def test_an_index_that_took_an_aliases_name_and_a_used_up_budget_are_found():
    assert "DELETE /impulse-audit" in only(indices.taken_names(["impulse-audit"])).remedy
    assert sound(indices.catalogue(449, 500))
    assert "context.max_fields" in only(indices.catalogue(450, 500)).remedy


def permission(action: str, purpose: str, *, is_held: bool) -> Permission:
    return Permission(action=action, pattern="a-*", purpose=purpose, is_held=is_held)


def test_a_missing_permission_is_named_and_fails_when_shipping_needs_it():
    assert sound(permissions.permissions([permission("a", "shipping", is_held=True)]))
    told = only(permissions.permissions([permission("indices:admin/get", "shipping", is_held=False)]))
    assert (told.level, told.name) == (Level.FAIL, "permission indices:admin/get")
    assert only(permissions.permissions([permission("b", "rebuild", is_held=False)])).level is Level.WARN


# -- progress and dashboards ------------------------------------------------------------------------------------------


def test_the_agents_own_state_is_judged():
    base = {"state": "idle", "watermark": 7, "heartbeat": "2026-11-23T12:00:00Z", "reason": ""}
    assert sound(progress.state(base))
    assert sound(progress.state({"heartbeat": None}))
    assert only(progress.state(base | {"state": "degraded", "reason": "x"}))
    assert "start" in only(progress.state(base | {"state": "stopped", "reason": "agent not running since x"})).remedy


def test_what_a_person_paused_is_told_with_the_way_back():
    assert list(progress.paused(None)) == []
    told = only(progress.paused({"retention": {"who": "ann", "since": "x", "why": "audit"}, "tail": None}))
    assert "resume retention" in told.remedy


def test_an_old_gap_is_found_and_many_are_summed_up():
    assert sound(progress.gaps([(1, 2, 3600.0)], limit_seconds=3600))
    assert "1-2" in only(progress.gaps([(1, 2, 3601.0), (5, 5, 1.0)], limit_seconds=3600)).finding
    assert len(list(progress.gaps([(n, n, 9e9) for n in range(50)], limit_seconds=3600))) == 4


def test_dead_letters_and_lost_rows_are_found():
    assert sound(progress.dead_letters(0))
    assert "dead-letters list" in only(progress.dead_letters(1)).remedy
    assert list(progress.purged_unread(None)) == []
    assert "5-9" in only(progress.purged_unread((5, 9))).finding


def test_dashboards_drift_is_found_but_a_grown_field_list_is_not_a_changed_object():
    failed = (Failure(name="index-pattern a", reason="fields differs when read back"),)
    patterns = frozenset(("index-pattern a",))
    assert sound(dashboards.objects(Report(installed=("x",), failed=failed), patterns=patterns, url="u"))
    gone = (Failure(name="index-pattern a", reason="is missing when read back"),)
    assert (
        "setup --dashboards u"
        in only(dashboards.objects(Report(installed=(), failed=gone), patterns=patterns, url="u")).remedy
    )
    assert sound(dashboards.fields({"p": FieldDrift(missing=(), changed=())}, url="u"))
    told = only(dashboards.fields({"p": FieldDrift(missing=("context.new",), changed=())}, url="u"))
    assert "context.new" in told.finding
    assert "--refresh-fields" in told.remedy


def test_every_purpose_of_a_room_is_pure():
    for file in sorted((Path(__file__).parents[3] / "agent" / "checking").glob("*.py")):
        text = file.read_text()
        assert "datetime.now(" not in text, file
        assert "open(" not in text, file
