"""The application: every part of one instance, made from the configuration when first asked for.

Verbs ask it for what they need; nothing is connected to, nor even imported into memory as an open connection, before.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import cast

from agent import __version__
from agent.config import Configuration, load_all
from agent.errors import ConfigError
from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.partition import Period
from agent.mapping.redaction import Redaction
from agent.mapping.rules import FieldRules, NativeType
from agent.mysql.engine import Database, open_database
from agent.mysql.rows import RowReader
from agent.mysql.schema import Table, look_up
from agent.mysql.source_identity import SourceIdentity, identity
from agent.observing.logging import EventLog, set_up
from agent.opensearch.agent_indices import ensure_agent_indices
from agent.opensearch.bulk import ClusterBulk
from agent.opensearch.client import Cluster, open_cluster
from agent.opensearch.dead_letters import ClusterDeadLetters
from agent.opensearch.journal import ClusterJournal
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions
from agent.opensearch.search import Search
from agent.opensearch.state import ClusterState
from agent.opensearch.templates import Templates
from agent.retention.journal import Journal
from agent.row import Row
from agent.state import StateDocument, new_holder


class Application:
    """One instance, as its configuration describes it."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path
        self.holder = new_holder()

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
        settings = self.configuration.settings
        secrets = [settings.source.read_password(), settings.opensearch.read_password()]
        return set_up(
            format="json" if settings.log.format == "json" else "text",
            level=settings.log.level,
            secrets=[secret for secret in secrets if secret],
        )

    @cached_property
    def database(self) -> Database:
        """Prepare connections to the source."""
        return open_database(self.configuration.settings.source)

    @cached_property
    def table(self) -> Table:
        """Look the audit table up. Raises ConfigError for what is missing."""
        return look_up(self.database, self.configuration.settings.source)

    @property
    def source_identity(self) -> SourceIdentity:
        """Ask the source who it is now."""
        return identity(self.database, self.table)

    @cached_property
    def rows(self) -> RowReader:
        """Read rows; a value longer than what is indexed of it never crosses the wire."""
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
        return Templates(self.cluster, self.names)

    @cached_property
    def partitions(self) -> ClusterPartitions:
        """Keep the instance's partitions."""
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
        return ClusterBulk(self.cluster)

    @cached_property
    def state(self) -> StateDocument:
        """Hold the instance's state document."""
        store = ClusterState(self.cluster, self.names.state, self.instance)
        return StateDocument(store, self.instance, self.holder)

    def make_ready(self) -> list[str]:
        """Install what the agent needs of its own before it writes anything: templates and agent indices."""
        installed = self.templates.ensure()
        return installed + ensure_agent_indices(self.cluster, self.names, self.templates)

    @cached_property
    def field_rules(self) -> FieldRules:
        """Translate context_fields.yml into what mapping understands."""
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
        return Redaction(self.field_rules)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Know the mapped context paths."""
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
        return ClusterDeadLetters(self.cluster, self.names.dead_letters, self.instance)

    def refused(self, rows: Sequence[Row]) -> Container[int]:
        """Return the ids of rows that a retention run has expired and that are not to be indexed again."""
        del rows
        return ()

    @cached_property
    def journal(self) -> Journal:
        """Append to the instance's journal."""
        store = ClusterJournal(self.cluster, self.names.journal, self.instance)
        return Journal(store, instance=self.instance)


def now_text() -> str:
    """Return the time of day in UTC as documents and journals write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
