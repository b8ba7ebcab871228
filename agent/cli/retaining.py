"""Retention wired from an application's parts, for `retain`, the daemon, and whoever asks what is expired."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from agent.cli.app import Application
from agent.config.retention import RetentionSettings
from agent.errors import PermanentError
from agent.mysql.core_settings import core_retention
from agent.mysql.engine import Database, open_database
from agent.mysql.lease import Lease
from agent.mysql.replica_lag import replica_lag
from agent.opensearch.state import ClusterState
from agent.retention.archive import Archive
from agent.retention.expired import Expiry
from agent.retention.export import Export
from agent.retention.index_side import IndexSide
from agent.retention.ledger import LedgerStore, ledger_name
from agent.retention.pace import Gait, ReplicaWatch
from agent.retention.policy import fixed
from agent.retention.redacted import redacting
from agent.retention.rules import CoreDays, RuleSet, rule_set
from agent.retention.run import Retention
from agent.retention.table_side import TableSide


class Retaining:
    """One instance's retention under one reading of retention.yml."""

    def __init__(self, app: Application, settings: RetentionSettings, config_digest: str) -> None:
        self._app = app
        self.settings = settings
        self._config_digest = config_digest

    def rules(self) -> RuleSet:
        """Return the rules in force now; Core's own setting is read afresh if the file follows it."""
        follow = self.settings.follow_core_setting
        if follow is None:
            return rule_set(self.settings)
        found = core_retention(
            self._app.database,
            self._app.table.schema,
            table=follow.table,
            keys=follow.key,
            key_column=follow.key_column,
            value_column=follow.value_column,
        )
        return rule_set(self.settings, CoreDays(days=found.days, reason=found.reason))

    @property
    def enforces(self) -> bool:
        """Say whether the daemon deletes at its hour."""
        return self.settings.mode == "enforce"

    @property
    def config_digest(self) -> str:
        """Return the SHA-256 of retention.yml, "" without one."""
        return self._config_digest

    def check_not_paused(self) -> None:
        """Raise PermanentError while a person has paused retention: a pause is there to keep, whoever runs."""
        self._app.state.refresh()
        pause = self._app.state.paused("retention")
        if pause:
            got = f"by {pause.get('who')} since {pause.get('since')}" + (
                f": {why}" if (why := pause.get("why")) else ""
            )
            raise PermanentError("retention is paused", got=got, remedy="audit-agent resume retention")

    def acquire(self) -> bool:
        """Take the right to delete, if nobody else has it."""
        self._app.make_ready()
        return self.lease.acquire()

    def release(self) -> None:
        """Give it back."""
        if "lease" in self.__dict__:
            self.lease.release()

    def expiry(self) -> Expiry:
        """Return what tells rows that are not to be indexed again; good until the next run or change of rules."""
        executed = self.ledger.read().executed
        return Expiry(current=fixed(self.rules(), self.rows.now(), self.zone), executed=executed)

    def watermark(self) -> int:
        """Return the stored watermark: nothing above it is looked at, let alone deleted."""
        self._app.state.refresh()
        return int(self._app.state.members.get("watermark") or 0)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the zone the table is written in."""
        return ZoneInfo(self._app.configuration.settings.source.time_zone)

    @cached_property
    def rows(self) -> TableSide:
        """Return the table's side."""
        return TableSide(self._app.database, self._app.table, zone=self.zone)

    @cached_property
    def documents(self) -> IndexSide:
        """Return the index's side."""
        app = self._app
        return IndexSide(app.cluster, app.names, app.partitions, app.dead_letters)

    @cached_property
    def ledger(self) -> LedgerStore:
        """Return retention's own document."""
        app = self._app
        return LedgerStore(ClusterState(app.cluster, app.names.state, ledger_name(app.instance)))

    @cached_property
    def lease(self) -> Lease:
        """Return the right to delete, apart from the right to ship: a person may retain beside a daemon."""
        return Lease(self._app.database, ledger_name(self._app.instance))

    @cached_property
    def archive(self) -> Archive | None:
        """Return where expired rows go first, if they do."""
        archive = self.settings.archive
        if not archive.enabled:
            return None
        return Archive(
            archive.directory,
            instance=self._app.instance,
            format=archive.format,
            redact=redacting(self._app.redaction),
        )

    @cached_property
    def retention(self) -> Retention:
        """Return the run."""
        pace = self.settings.pace
        replicas = [_Replica(self._replica(url)) for url in pace.replicas]
        return Retention(
            rows=self.rows,
            documents=self.documents,
            ledger=self.ledger,
            journal=self._app.journal,
            # Asked for again when nobody asked about it for a while; not ours if anybody else took it meanwhile.
            lease_held=self.lease.acquire,
            gait=Gait(rows_per_second=pace.rows_per_second, clock=time.monotonic),
            replicas=ReplicaWatch(replicas=replicas, max_lag_seconds=pace.max_replica_lag_seconds),
            chunk_rows=pace.chunk_rows,
            brakes=self.settings.brakes,
            archive=self.archive,
            mirror=self.settings.on_source_delete == "mirror",
            zone=self.zone,
        )

    @cached_property
    def export(self) -> Export | None:
        """Return the scheduled export, if there is one."""
        export = self.settings.export
        if not export.enabled:
            return None
        files = Archive(
            export.directory, instance=self._app.instance, format=export.format, redact=redacting(self._app.redaction)
        )
        return Export(
            rows=self.rows,
            files=files,
            ledger=self.ledger,
            journal=self._app.journal,
            lease_held=self.lease.acquire,
        )

    def _replica(self, url: Any) -> Database:
        """Open a replica with the source's account and TLS, unless its URL has a password of its own."""
        source = self._app.configuration.settings.source
        if url.password is not None:
            return open_database(source.model_copy(update={"url": url, "password_file": None}))
        if source.password_file is None and source.url.password is not None:
            user, host = url.get_secret_value().split("@", 1)
            url = SecretStr(f"{user}:{quote(source.url.password, safe='')}@{host}")
        return open_database(source.model_copy(update={"url": url}))


class _Replica:
    """One replica; see `pace.Replica`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = database.where

    def lag_seconds(self) -> float | None:
        """Ask it."""
        return replica_lag(self._database).seconds
