"""The catalogue: every context path that is mapped, and as what. One per agent, mirrored in the partitions' mappings.

Promises: a path is an object or a leaf, never both; `walk` admits at most `max_fields` paths and none deeper than
`max_depth`; what is admitted stays, so a field means the same in every partition; widenings are an append-only
log, so `changes_since(n)` is an additive `PUT _mapping` body for a partition that was brought to version n.

Where a partition's mapping differs (another agent won a race there, or `context_fields.yml` was changed after it
was created), the server wins: a path no partition has from us takes the server's shape, any other is an exception
of that one partition. Whoever sends the changes leaves nothing to this module but `merge_mapping` and `confirm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from agent.mapping.exceptions import Exceptions, Path
from agent.mapping.fields import Field, field_of, paths_of
from agent.mapping.leaf import MAPPED, NUMBER, SENSITIVE, STRING, flags_of, leaf_mapping, may_be_sent_again, takes
from agent.mapping.paths import valid_name
from agent.mapping.rules import FieldRules

Node: TypeAlias = "dict[str, Node] | int"
Properties: TypeAlias = dict[str, Any]

CONTEXT = "context"
EXTRA = "extra"
DEEPEST = 18
"""Levels below `context` the server's own depth limit (20, objects above included) leaves room for."""
_ADOPTED = -1
_NO_EXCEPTIONS = Exceptions()


class Catalogue:
    """Know the mapped paths; not safe for use by two threads at once."""

    def __init__(
        self,
        *,
        max_fields: int = 500,
        max_depth: int = 10,
        rules: FieldRules | None = None,
        sensitive: Callable[[str], object] = lambda _key: None,
    ) -> None:
        rules = rules or FieldRules()
        self.max_fields = max_fields
        self.max_depth = min(max_depth, DEEPEST)
        self.tree: dict[str, dict[str, Node]] = {CONTEXT: {}, EXTRA: {}}
        self.paths = 0
        self._sensitive = sensitive
        self._log: list[Path] = []
        self._position: dict[Path, int] = {}
        self._confirmed = 0
        self._first_seen: dict[Path, str] = {}
        self._exceptions: dict[str, Exceptions] = {}
        self.dropped = frozenset((CONTEXT, *path.split(".")) for path in rules.drop)
        self._native = {(CONTEXT, *path.split(".")): native for path, native in rules.types.items()}
        for path in self._native:
            if not any(path[:depth] in self.dropped for depth in range(2, len(path) + 1)):
                self._admit_native(path)

    @property
    def version(self) -> int:
        """Count the widenings so far; a partition brought to this version has them all."""
        return len(self._log)

    def paths_since(self, version: int) -> list[Path]:
        """List the paths that were added or widened after a version, oldest first."""
        return self._log[version:]

    def exceptions(self, partition: str) -> Exceptions | None:
        """Return which paths one partition holds otherwise, or None, as nearly always."""
        found = self._exceptions.get(partition)
        return found if found is not None and found.blocks else None

    # -- widening, called by the walk ---------------------------------------------------------------------------

    def has_room(self, path: Path) -> bool:
        """Return whether the budget has one more path; asked before one is admitted."""
        return self.paths < self.max_fields or path[0] != CONTEXT

    def admit_object(self, node: dict[str, Node], key: str, path: Path) -> dict[str, Node]:
        """Make an unknown path an object."""
        child: dict[str, Node] = {}
        self._put(node, key, path, child)
        return child

    def admit_leaf(self, node: dict[str, Node], key: str, path: Path, flags: int, today: str | None) -> None:
        """Make an unknown path a leaf."""
        if today:
            self._first_seen[path] = today
        self._put(node, key, path, self._flags(path, flags))

    def admit_column(self, name: str) -> None:
        """Make an extra column of the table a leaf, whatever its values turn out to be."""
        node = self.tree[EXTRA]
        if name not in node and "." not in name and valid_name(name):
            self._put(node, name, (EXTRA, name), self._flags((EXTRA, name), 0))

    def widen_leaf(self, node: dict[str, Node], key: str, path: Path, flags: int) -> None:
        """Add the kinds of a new value to a known leaf."""
        known = node[key]
        if not isinstance(known, int):
            raise TypeError("only a leaf has kinds")
        if known | flags != known:
            node[key] = known | flags
            self._log.append(path)

    # -- what the server has to be told, and what it says ---------------------------------------------------------

    def properties(self, partition: str = "") -> Properties:
        """Return the `properties` of the whole catalogue, for a partition about to be created."""
        return self._properties(self._position, partition)

    def changes_since(self, version: int, partition: str = "") -> Properties:
        """Return the `properties` that bring a partition from `version` to the present one; empty if nothing does."""
        return self._properties(dict.fromkeys(self._log[version:]), partition)

    def confirm(self, version: int) -> None:
        """Note that some partition took every change up to `version`: those paths keep their shape from now on."""
        self._confirmed = max(self._confirmed, version)

    def merge_mapping(self, properties: Mapping[str, Any], partition: str = "") -> None:
        """Take over what a partition's mapping says (its root `properties`); where we differ, the server wins."""
        exceptions = Exceptions()
        for root, node in self.tree.items():
            self._merge(node, properties.get(root, {}).get("properties", {}), (root,), exceptions)
        self._exceptions[partition] = exceptions

    def freeze(self, properties: Mapping[str, Any], partition: str) -> None:
        """Expect nothing of a partition but what its mapping holds now: it refused to be widened."""
        self.merge_mapping(properties, partition)
        self._exceptions[partition].only = frozenset(
            path for root in self.tree for path in paths_of(properties.get(root, {}), (root,))
        )

    def fields(self) -> list[Field]:
        """List the context's leaves in the order of their paths."""
        leaves = ((path, self._look_up(path)) for path in sorted(self._position) if path[0] == CONTEXT)
        return [
            field_of(path, flags, self._native.get(path), self._first_seen.get(path))
            for path, flags in leaves
            if isinstance(flags, int)
        ]

    # -- within ----------------------------------------------------------------------------------------------------

    def _flags(self, path: Path, flags: int) -> int:
        if path in self._native:
            flags = STRING | NUMBER  # a native type takes every kind as it is
        return flags | MAPPED | (SENSITIVE if self._sensitive(path[-1]) else 0)

    def _put(self, node: dict[str, Node], key: str, path: Path, value: Node) -> None:
        node[key] = value
        self._position[path] = len(self._log)
        self._log.append(path)
        self.paths += path[0] == CONTEXT

    def _admit_native(self, path: Path) -> None:
        node = self.tree[CONTEXT]
        for depth in range(2, len(path)):
            child = node.get(path[depth - 1])
            if child is None:
                child = {}
                self._put(node, path[depth - 1], path[:depth], child)
            if isinstance(child, int):
                return  # a longer path below a typed leaf can't exist; the configuration says so to the person
            node = child
        if node.get(path[-1]) is None:
            self._put(node, path[-1], path, self._flags(path, 0))

    def _properties(self, paths: Iterable[Path], partition: str) -> Properties:
        exceptions = self._exceptions.get(partition, _NO_EXCEPTIONS)
        result: Properties = {}
        for path in paths:
            known = self._look_up(path)
            if known is None or exceptions.withholds(path):
                continue
            place = result
            for key in path[:-1]:
                place = place.setdefault(key, {}).setdefault("properties", {})
            if isinstance(known, dict):
                place.setdefault(path[-1], {"type": "object"}).setdefault("properties", {})
            else:
                place[path[-1]] = self._leaf_mapping(path, known)
        return result

    def _leaf_mapping(self, path: Path, flags: int) -> dict[str, Any]:
        copied = path[0] == CONTEXT
        return leaf_mapping(flags, self._native.get(path), self._first_seen.get(path), copy_to=copied)

    def _look_up(self, path: Path) -> Node | None:
        node: Node | None = self.tree[path[0]]
        for key in path[1:]:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def _merge(self, node: dict[str, Node], properties: Mapping[str, Any], above: Path, exceptions: Exceptions) -> None:
        for key, theirs in properties.items():
            path = (*above, key)
            if path in self.dropped:
                continue  # nothing is sent there any more
            if takes(theirs) == "neither":
                exceptions.blocked.add(path)
                continue
            is_object = takes(theirs) == "objects"
            known = node.get(key)
            if known is not None and isinstance(known, dict) != is_object and self._is_ours_alone(path):
                self._forget(path)
                known = None
            if known is None:
                known = self._adopt(node, path, theirs, is_object)
            if known is None or isinstance(known, dict) != is_object:
                exceptions.blocked.add(path)
            elif isinstance(known, dict):
                self._merge(known, theirs.get("properties", {}), path, exceptions)
            else:
                self._merge_leaf(node, path, theirs, exceptions)

    def _adopt(self, node: dict[str, Node], path: Path, theirs: Mapping[str, Any], is_object: bool) -> Node | None:
        if is_object and self._sensitive(path[-1]):
            return None
        known: Node = {} if is_object else self._flags(path, flags_of(theirs))
        self._put(node, path[-1], path, known)
        self._position[path] = _ADOPTED
        return known

    def _merge_leaf(self, node: dict[str, Node], path: Path, theirs: Mapping[str, Any], exceptions: Exceptions) -> None:
        if not may_be_sent_again(theirs, self._native.get(path)):
            # The type of a mapped field can't be changed, nor can most else: it stays so until `rebuild`.
            exceptions.withheld.add(path)
        elif path not in self._native:
            self.widen_leaf(node, path[-1], path, flags_of(theirs))
        first_seen = theirs.get("meta", {}).get("first_seen")
        if first_seen:
            self._first_seen[path] = min(first_seen, self._first_seen.get(path, first_seen))

    def _is_ours_alone(self, path: Path) -> bool:
        return self._position[path] >= self._confirmed and path not in self._native

    def _forget(self, path: Path) -> None:
        gone = [known for known in self._position if known[: len(path)] == path]
        for known in gone:
            del self._position[known]
            self._first_seen.pop(known, None)
        self.paths -= len(gone) if path[0] == CONTEXT else 0
        parent = self._look_up(path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
