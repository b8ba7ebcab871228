"""The application: every part of one instance, made from the configuration when first asked for.

Verbs ask it for what they need; nothing is connected to before, and nothing that is large is even imported: a search
carries no database driver, and only what writes events carries the log.
"""
# ruff: noqa: PLC0415  a part is imported where it is made; all of them would cost each verb twice the time it starts in

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent import __version__
from agent.config import Configuration, RetentionFile, RetentionSettings, load_all
from agent.errors import ConfigError
from agent.observing.mask import SecretMask
from agent.opensearch.client import Cluster, open_cluster
from agent.opensearch.names import Names
from agent.opensearch.search import Search
from agent.opensearch.state import ClusterState
from agent.state import StateDocument, new_holder

if TYPE_CHECKING:
    from agent.mapping.catalogue import Catalogue
    from agent.mapping.document import DocumentBuilder
    from agent.mapping.partition import Period
    from agent.mapping.redaction import Redaction
    from agent.mapping.rules import FieldRules, NativeType
    from agent.mysql.engine import Database
    from agent.mysql.rows import RowReader
    from agent.mysql.schema import Table
    from agent.mysql.source_identity import SourceIdentity
    from agent.observing.logging import EventLog
    from agent.opensearch.bulk import ClusterBulk
    from agent.opensearch.dead_letters import ClusterDeadLetters
    from agent.opensearch.partitions import ClusterPartitions
    from agent.opensearch.templates import Templates
    from agent.retention.expired import Expiry
    from agent.retention.journal import Journal
    from agent.row import Row

# Another process may run retention at any time: what it expired is known here this much later at the latest.
EXPIRY_SECONDS = 30.0


class Application:
    """One instance, as its configuration describes it."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path
        self.holder = new_holder()
        self._expiry: Expiry | None = None
        self._expiry_read_at = 0.0

    @cached_property
    def configuration(self) -> Configuration:
        """Read all four files. Raises ConfigError."""
        if not self.config_path.is_file():
            raise ConfigError(
                "no configuration file",
                got=str(self.config_path),
                remedy="name it with -c or AUDIT_AGENT_CONFIG; config/agent.yml is a commented sample",
            )
        return load_all(self.config_path, os.environ)

    @property
    def instance(self) -> str:
        """Return the instance's name."""
        return self.configuration.settings.instance

    @cached_property
    def log(self) -> EventLog:
        """Set up the log; secrets of the configuration are masked in every line."""
        from agent.observing.logging import set_up

        log = self.configuration.settings.log
        return set_up(format="json" if log.format == "json" else "text", level=log.level, mask=self.mask)

    @cached_property
    def mask(self) -> SecretMask:
        """Know every secret of the configuration, rotated ones too: the last net below messages that carry none."""
        settings, retention = self.configuration.settings, self.configuration.retention
        urls = (settings.source.url, *retention.pace.replicas)

        def rotating() -> Iterator[str]:
            # An unreadable file is told by whoever needs it.
            with suppress(ConfigError):
                yield settings.source.read_password() or ""
            with suppress(ConfigError):
                yield settings.opensearch.read_password() or ""
            if "cluster" in vars(self):
                # Nothing was sent before, so no server can have quoted it back.
                yield from self.cluster.secrets()

        return SecretMask([url.password or "" for url in urls], rotating=rotating)

    @cached_property
    def database(self) -> Database:
        """Prepare connections to the source."""
        from agent.mysql.engine import open_database

        return open_database(self.configuration.settings.source)

    @cached_property
    def table(self) -> Table:
        """Look the audit table up. Raises ConfigError for what is missing."""
        from agent.mysql.schema import look_up

        return look_up(self.database, self.configuration.settings.source)

    @property
    def source_identity(self) -> SourceIdentity:
        """Ask the source who it is now."""
        from agent.mysql.source_identity import identity

        return identity(self.database, self.table)

    @cached_property
    def rows(self) -> RowReader:
        """Read rows; a value longer than what is indexed of it never crosses the wire."""
        from agent.mysql.rows import RowReader

        return RowReader(self.database, self.table, max_value_bytes=self.configuration.settings.context.max_bytes)

    @cached_property
    def names(self) -> Names:
        """Name indices and aliases."""
        opensearch = self.configuration.settings.opensearch
        return Names(self.instance, index_prefix=opensearch.index_prefix, agent_prefix=opensearch.agent_prefix)

    @cached_property
    def cluster(self) -> Cluster:
        """Prepare connections to OpenSearch."""
        return open_cluster(self.configuration.settings.opensearch)

    @cached_property
    def templates(self) -> Templates:
        """Keep the cluster's templates."""
        from agent.opensearch.templates import Templates

        return Templates(self.cluster, self.names)

    @cached_property
    def partitions(self) -> ClusterPartitions:
        """Keep the instance's partitions."""
        from agent.opensearch.partitions import ClusterPartitions

        opensearch = self.configuration.settings.opensearch
        return ClusterPartitions(
            self.cluster,
            self.names,
            self.templates,
            shards=opensearch.shards,
            replicas=opensearch.replicas,
            max_fields=self.configuration.settings.context.max_fields,
        )

    @cached_property
    def search(self) -> Search:
        """Search this instance's documents."""
        return Search(self.cluster, self.names.read)

    @cached_property
    def bulk(self) -> ClusterBulk:
        """Send bulk requests."""
        from agent.opensearch.bulk import ClusterBulk

        return ClusterBulk(self.cluster)

    @cached_property
    def state(self) -> StateDocument:
        """Hold the instance's state document."""
        store = ClusterState(self.cluster, self.names.state, self.instance)
        return StateDocument(store, self.instance, self.holder)

    def make_ready(self) -> list[str]:
        """Install what the agent needs of its own before it writes anything: templates and agent indices."""
        from agent.opensearch.agent_indices import ensure_agent_indices

        installed = self.templates.ensure()
        return installed + ensure_agent_indices(self.cluster, self.names, self.templates)

    @cached_property
    def field_rules(self) -> FieldRules:
        """Translate context_fields.yml into what mapping understands."""
        from agent.mapping.rules import FieldRules

        fields = self.configuration.context_fields
        redact = fields.redact
        return FieldRules(
            types=cast("dict[str, NativeType]", dict(fields.types)),
            drop=fields.drop,
            redact_keys=redact.keys,
            detectors=redact.detectors,
            email=redact.email,
            patterns=[(rule.name, rule.pattern) for rule in redact.rules],
        )

    @cached_property
    def redaction(self) -> Redaction:
        """Replace secrets before anything leaves the process."""
        from agent.mapping.redaction import Redaction

        return Redaction(self.field_rules)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Know the mapped context paths."""
        from agent.mapping.catalogue import Catalogue

        context = self.configuration.settings.context
        return Catalogue(
            max_fields=context.max_fields,
            max_depth=context.max_depth,
            rules=self.field_rules,
            sensitive=self.redaction.key_rule,
        )

    @cached_property
    def builder(self) -> DocumentBuilder:
        """Build documents."""
        from agent.mapping.document import DocumentBuilder

        settings = self.configuration.settings
        return DocumentBuilder(
            instance=self.instance,
            shape=self.table.shape,
            period=cast("Period", settings.opensearch.partition),
            zone=settings.source.time_zone,
            catalogue=self.catalogue,
            redaction=self.redaction,
            max_bytes=settings.context.max_bytes,
            version=__version__,
        )

    @cached_property
    def dead_letters(self) -> ClusterDeadLetters:
        """Keep rejected rows."""
        from agent.opensearch.dead_letters import ClusterDeadLetters

        return ClusterDeadLetters(self.cluster, self.names.dead_letters, self.instance)

    @cached_property
    def retention_file(self) -> RetentionFile | None:
        """Follow retention.yml while the process lives; None when there is none."""
        file = self.configuration.settings.files.retention
        return RetentionFile(file, os.environ) if file else None

    @property
    def retention_settings(self) -> RetentionSettings:
        """Return the retention rules as last read."""
        return self.retention_file.settings if self.retention_file else self.configuration.retention

    @property
    def retention_digest(self) -> str:
        """Return the SHA-256 of the retention file in force, for the journal."""
        return self.retention_file.digest if self.retention_file else hashlib.sha256(b"").hexdigest()

    def refused(self, rows: Sequence[Row]) -> Container[int]:
        """Return the ids of rows that a retention run has expired and that are not to be indexed again."""
        from agent.cli.retaining import Retaining

        if self._expiry is None or time.monotonic() - self._expiry_read_at > EXPIRY_SECONDS:
            self._expiry = Retaining(self, self.retention_settings, self.retention_digest).expiry()
            self._expiry_read_at = time.monotonic()
        return self._expiry.refused_rows(rows, self.table.shape)

    def forget_expiry(self) -> None:
        """Ask again what is expired, because a run has ended or the rules have changed."""
        self._expiry = None

    @cached_property
    def journal(self) -> Journal:
        """Append to the instance's journal."""
        from agent.opensearch.journal import ClusterJournal
        from agent.retention.journal import Journal

        store = ClusterJournal(self.cluster, self.names.journal, self.instance)
        return Journal(store, instance=self.instance)


def now_text() -> str:
    """Return the time of day in UTC as documents and journals write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
