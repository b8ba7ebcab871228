"""Ask the database what `check` wants to know of it. Each question stands alone; none changes anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from agent.checking import configuration, evidence, grants, host, retention, source
from agent.checking.finding import Finding, Level, failure
from agent.cli.app import Application
from agent.cli.check_question import asked
from agent.config.retention import RetentionSettings
from agent.errors import AgentError
from agent.mysql.core_settings import SETTINGS_TABLE, core_retention
from agent.mysql.engine import database_at
from agent.mysql.evidence import objection, probes
from agent.mysql.facts import ServerFacts, server_facts
from agent.mysql.grants import Grant, needless_privileges, probe_grants
from agent.mysql.replica_lag import replica_lag
from agent.tailing.evidence import Evidence


def source_findings(app: Application) -> Iterator[Finding]:
    """Examine server, account, table, evidence and what retention needs."""
    policy = app.configuration.retention
    yield retention.summary(policy)
    try:
        # The first question needs no grant at all, so what goes wrong here is the connection or the account.
        needless_privileges(app.database)
    except AgentError as error:
        yield failure("mysql", error)
        return
    try:
        facts = server_facts(app.database, app.table)
    except AgentError as error:
        yield failure("table", error)
        yield from _needless(app, policy)
        return
    yield from _server(app, policy, facts)
    yield from _table(app, policy, facts)
    yield from asked("grants", lambda: _grants_and_evidence(app, policy, facts))
    yield from _needless(app, policy)
    yield from _retention(app, policy)


def _server(app: Application, policy: RetentionSettings, facts: ServerFacts) -> Iterator[Finding]:
    where = app.database.where
    deletes = configuration.deletes_rows(policy)
    yield from asked("mysql version", lambda: source.server(app.source_identity, where, deletes=deletes))
    tls = app.configuration.settings.source.tls
    yield source.tls(facts, where, is_verified=tls is not None and tls.enabled and tls.verify)
    yield host.clock("mysql", source.server_now(facts), datetime.now(UTC))
    yield source.packets(facts, max_bytes=app.configuration.settings.context.max_bytes)


def _table(app: Application, policy: RetentionSettings, facts: ServerFacts) -> Iterator[Finding]:
    yield from source.table(app.table, facts, expires=configuration.expires_rows(policy))
    yield from asked("table ids", lambda: source.ids_left(facts, app.rows.bounds().max_id))
    yield source.newest_row(facts, app.configuration.settings.source.time_zone)


def _grants_and_evidence(app: Application, policy: RetentionSettings, facts: ServerFacts) -> Iterator[Finding]:
    wanted = app.configuration.settings.tail.gaps.evidence
    followed = policy.follow_core_setting
    held = probe_grants(app.database, app.table, settings_table=followed.table if followed else SETTINGS_TABLE)
    objecting = objection(app.source_identity)
    rungs = probes(app.database, app.table, monotonic=time.monotonic, sleep=time.sleep)
    rung = Evidence(rungs, wanted, time.monotonic, lambda: objecting).choose()
    need = grants.Need(
        evidence=rung.name,
        wanted_evidence=wanted,
        has_performance_schema=facts.has_performance_schema,
        deletes=configuration.deletes_rows(policy),
        expires=configuration.expires_rows(policy),
        follows_core=followed is not None,
    )
    yield from grants.grants(held, need)
    yield evidence.evidence(
        wanted=wanted,
        taken=rung.name,
        reason=rung.reason,
        objection=objecting,
        grants=_missing_evidence(held, wanted, facts),
    )


def _missing_evidence(held: tuple[Grant, ...], wanted: str, facts: ServerFacts) -> dict[str, str]:
    if wanted == "innodb_trx":
        return {grant.on: grant.statement for grant in held if grant.privilege == "PROCESS" and not grant.is_held}
    if wanted == "metadata_lock_info":
        return {}
    return grants.exact_evidence_grants(held, has_performance_schema=facts.has_performance_schema)


def _needless(app: Application, policy: RetentionSettings) -> Iterator[Finding]:
    schema = app.database.name
    settings = app.configuration.settings.source.table
    followed = policy.follow_core_setting.table if policy.follow_core_setting else SETTINGS_TABLE
    readable = [f"{schema}.{settings}", f"{schema}.{followed}"] if schema else []
    yield from asked(
        "needless privileges",
        lambda: grants.needless(needless_privileges(app.database, readable)),
        level=Level.WARN,
    )


def _retention(app: Application, policy: RetentionSettings) -> Iterator[Finding]:
    followed = policy.follow_core_setting
    if followed is not None:
        found = core_retention(
            app.database,
            app.table.schema,
            table=followed.table,
            keys=followed.key,
            key_column=followed.key_column,
            value_column=followed.value_column,
        )
        yield retention.core(found)
    for replica in policy.pace.replicas:
        watched = database_at(replica.get_secret_value(), app.configuration.settings.source)
        most = policy.pace.max_replica_lag_seconds
        yield retention.replica(watched.where, replica_lag(watched), most_seconds=most)
        watched.close()
