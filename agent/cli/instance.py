"""The instance: its configuration, and the way to its documents and its state. All that a verb needs that only asks.

Nothing is connected to before it is asked for, and nothing that is large is even imported: a search carries no
database driver, and only what writes events carries the log.
"""
# ruff: noqa: PLC0415  a part is imported where it is made; all of them would cost each verb twice the time it starts in

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.settings import Settings
from agent.config.settings_file import load
from agent.errors import ConfigError
from agent.observing.mask import SecretMask
from agent.opensearch.client import Cluster, open_cluster
from agent.opensearch.names import Names
from agent.opensearch.search import Search
from agent.opensearch.state import ClusterState
from agent.state import StateDocument, new_holder

if TYPE_CHECKING:
    from agent.config.loading import Configuration
    from agent.observing.logging import EventLog


class Instance:
    """One instance, as its configuration describes it."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path
        self.holder = new_holder()

    @cached_property
    def configuration(self) -> Configuration:
        """Read all four files. Raises ConfigError."""
        from agent.config.loading import load_all

        return load_all(self._config_file(), os.environ)

    @cached_property
    def settings(self) -> Settings:
        """Read agent.yml alone: enough to ask the index. Raises ConfigError."""
        return load(self._config_file(), os.environ)

    @property
    def instance(self) -> str:
        """Return the instance's name."""
        return self.settings.instance

    @cached_property
    def log(self) -> EventLog:
        """Set up the log; secrets of the configuration are masked in every line."""
        from agent.observing.logging import set_up

        log = self.configuration.settings.log
        return set_up(format="json" if log.format == "json" else "text", level=log.level, mask=self.mask)

    @cached_property
    def mask(self) -> SecretMask:
        """Know every secret of the configuration, rotated ones too: the last net below messages that carry none."""
        settings = self.settings
        urls = [settings.source.url]
        with suppress(ConfigError):
            urls += self.configuration.retention.pace.replicas

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
    def names(self) -> Names:
        """Name indices and aliases."""
        opensearch = self.settings.opensearch
        return Names(self.instance, index_prefix=opensearch.index_prefix, agent_prefix=opensearch.agent_prefix)

    @cached_property
    def cluster(self) -> Cluster:
        """Prepare connections to OpenSearch."""
        return open_cluster(self.settings.opensearch)

    @cached_property
    def search(self) -> Search:
        """Search this instance's documents."""
        return Search(self.cluster, self.names.read)

    @cached_property
    def state(self) -> StateDocument:
        """Hold the instance's state document."""
        store = ClusterState(self.cluster, self.names.state, self.instance)
        return StateDocument(store, self.instance, self.holder)

    def _config_file(self) -> Path:
        if not self.config_path.is_file():
            raise ConfigError(
                "no configuration file",
                got=str(self.config_path),
                remedy="name it with -c or AUDIT_AGENT_CONFIG; config/agent.yml is a commented sample",
            )
        return self.config_path
