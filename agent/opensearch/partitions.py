"""Partitions: the index behind each period, with its aliases, brought back whatever was deleted by hand.

Creating is one request, so no other agent ever sees an index without its aliases. Every call may be repeated, and two
agents may do the same at once: the loser finds the winner's index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.answers import Refused, translated
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.mappings import read_properties, widen
from agent.opensearch.names import Names
from agent.opensearch.templates import Templates

# Each path may be a keyword with a text and a number below it, and objects count too; two agents that widen at once
# may each add their own set before they see the other's.
FIELDS_PER_PATH = 8
LEAST_FIELDS_LIMIT = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One concrete index; `current` says that the write alias is on it."""

    name: str
    index: str
    number: int
    current: bool
    closed: bool
    aliases: frozenset[str]


class Partitions(Protocol):
    """The indices of one instance's documents. Raises TemporaryError whenever the cluster can't do it now."""

    def ensure(self, partition: str, properties: Mapping[str, Any]) -> bool:
        """Make the partition writable, with at least these root mapping properties; say whether it was created anew.

        Idempotent. Raises MappingRefused when an existing partition maps something otherwise.
        """
        ...

    def put_mapping(self, partition: str, properties: Mapping[str, Any]) -> None:
        """Widen the partition's mapping, all or nothing. Idempotent. Raises MappingRefused."""
        ...

    def mapping(self, partition: str) -> dict[str, Any] | None:
        """Return the root mapping properties, None when there is no such partition.

        Raises TemporaryError(kind `foreign_index`) when somebody put the partition's alias on an index of their own.
        """
        ...

    def listed(self) -> list[Partition]:
        """Return the concrete indices of this instance, those of a rebuild included, by name."""
        ...

    def drop(self, partition: str) -> list[str]:
        """Delete every index of the partition; return their names. Idempotent."""
        ...


class ClusterPartitions:
    """See `Partitions`."""

    def __init__(
        self,
        cluster: Cluster,
        names: Names,
        templates: Templates,
        *,
        shards: int = 1,
        replicas: int = 1,
        max_fields: int = 500,
    ) -> None:
        self._cluster = cluster
        self._names = names
        self._templates = templates
        self._settings = {
            "index.number_of_shards": shards,
            "index.number_of_replicas": replicas,
            "index.mapping.total_fields.limit": max(LEAST_FIELDS_LIMIT, FIELDS_PER_PATH * max_fields),
        }

    def ensure(self, partition: str, properties: Mapping[str, Any]) -> bool:
        """Create, repair or widen; see `Partitions`."""
        present = self._concrete(partition)
        if not present and self._create_first(partition, properties):
            return True
        self._repair(partition, present or self._concrete(partition))
        self.put_mapping(partition, properties)
        return False

    def put_mapping(self, partition: str, properties: Mapping[str, Any]) -> None:
        """Widen; see `Partitions`."""
        widen(self._cluster, self._names.alias(partition), properties)

    def mapping(self, partition: str) -> dict[str, Any] | None:
        """Read; see `Partitions`."""
        alias = self._names.alias(partition)
        properties = read_properties(self._cluster, alias)
        if properties is not None and "agent" not in properties:
            remedy = "put the alias back on the agent's own index, or delete it: the agent makes it again"
            raise TemporaryError(
                "a write alias is on an index that is not the agent's", where=alias, remedy=remedy, kind="foreign_index"
            )
        return properties

    def listed(self) -> list[Partition]:
        """List; see `Partitions`."""
        return self._list(self._names.pattern())

    def drop(self, partition: str) -> list[str]:
        """Delete; see `Partitions`."""
        dropped = []
        for found in self._concrete(partition):
            # By exact name: a wildcard could reach another instance, and clusters may forbid it.
            self._cluster.answer("DELETE", url_path(found.index), accept=(404,))
            dropped.append(found.index)
        return dropped

    def create(self, partition: str, number: int, properties: Mapping[str, Any], *, writable: bool) -> bool:
        """Create one concrete index; say whether it is new. Not writable: without aliases, marked as being built."""
        names = self._names
        # Installed first if somebody deleted them: an index must never be born with a dynamic mapping.
        self._templates.ensure()
        meta = {"instance": names.instance, "partition": partition, "rebuilding": not writable}
        body: dict[str, Any] = {
            "settings": self._settings,
            "mappings": {"_meta": meta, "properties": properties},
            "aliases": self._aliases(partition) if writable else {},
        }
        answer = self._cluster.answer("PUT", url_path(names.concrete(partition, number)), body=body, accept=(400,))
        if answer.status == 200:
            return True
        if answer.fault_type == "resource_already_exists_exception":
            return False
        raise self._misfit(translated(400, answer.body, where=f"PUT /{names.concrete(partition, number)}"))

    def _create_first(self, partition: str, properties: Mapping[str, Any]) -> bool:
        return self.create(partition, 1, properties, writable=True)

    def _repair(self, partition: str, present: list[Partition]) -> None:
        """Put back aliases somebody removed."""
        writable = [found for found in present if found.current]
        if len(writable) > 1:
            got = ", ".join(found.index for found in writable)
            what = "a write alias names more than one index"
            raise TemporaryError(what, where=self._names.alias(partition), got=got, kind="alias_ambiguous")
        chosen = writable[0] if writable else self._complete(present)
        if chosen is None:
            raise TemporaryError("the partition vanished", where=self._names.alias(partition), kind="missing_alias")
        missing = [alias for alias in self._aliases(partition) if alias not in chosen.aliases]
        if missing:
            actions = [{"add": {"index": chosen.index, "alias": alias}} for alias in missing]
            try:
                self._cluster.call("POST", "/_aliases", body={"actions": actions})
            except Refused as refusal:
                raise self._misfit(refusal) from refusal

    def _complete(self, present: list[Partition]) -> Partition | None:
        """Return the newest index that no interrupted rebuild left half full."""
        for found in reversed(present):
            answer = self._cluster.answer("GET", url_path(found.index, "_mapping"), accept=(404,))
            meta = answer.body.get(found.index, {}).get("mappings", {}).get("_meta", {})
            if answer.status == 200 and not meta.get("rebuilding"):
                return found
        return None

    def _aliases(self, partition: str) -> dict[str, dict[str, Any]]:
        names = self._names
        return {names.alias(partition): {}, names.read: {}, names.read_all: {}}

    def _concrete(self, partition: str) -> list[Partition]:
        return [found for found in self._list(self._names.pattern(partition)) if found.name == partition]

    def _list(self, pattern: str) -> list[Partition]:
        params = {
            "expand_wildcards": "open,closed",
            "filter_path": "*.aliases,*.settings.index.verified_before_close,*.settings.index.number_of_shards",
        }
        answer = self._cluster.call("GET", url_path(pattern), params=params)
        found = [self._described(index, entry) for index, entry in sorted(answer.items())]
        return [partition for partition in found if partition]

    def _described(self, index: str, entry: dict[str, Any]) -> Partition | None:
        shape = self._names.parse(index)
        if shape is None:
            return None
        aliases = frozenset(entry.get("aliases", {}))
        return Partition(
            name=shape.partition,
            index=index,
            number=shape.number,
            current=self._names.alias(shape.partition) in aliases,
            closed="verified_before_close" in entry.get("settings", {}).get("index", {}),
            aliases=aliases,
        )

    def _misfit(self, error: Exception) -> Exception:
        """Return a temporary error for what only a person can sort out: an index that bears an alias's name."""
        if isinstance(error, Refused) and error.type in (
            "invalid_alias_name_exception",
            "invalid_index_name_exception",
        ):
            remedy = "delete or rename the index that has the name of one of the agent's aliases"
            return TemporaryError(
                "an index bears the name of an alias",
                where=error.where,
                got=error.got,
                remedy=remedy,
                kind="alias_taken",
            )
        return error
