"""Building blocks of `rebuild`: a partition's next index, filled by the server, compared, and put in its place.

    create -000002 ─▶ copy ─▶ catch up ─▶ swap the aliases ─▶ seal -000001 ─▶ catch up ─▶ compare ─▶ drop -000001

Copying keeps each document's version and only ever replaces an older one, so a pass may be repeated at any time, also
after the swap. A bulk request that was under way to the old index during the swap is either seen by the last pass or
refused by the seal, and then sent again to the new one. Every block may be repeated after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.answers import printable, translated
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions, Partition
from agent.opensearch.search import Search

_POLL_SECONDS = 1.0
_MOST_TRIES = 20
_BATCH_ROWS = 1000
_COMPARE_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a pass did: documents of the source, new in the target, renewed there, and there already as new."""

    total: int
    created: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Unequal:
    """A document that differs between two indices, by `_id`: checksum on either side, None where it is not."""

    key: str
    old_crc: int | None
    new_crc: int | None


class Rebuild:
    """The blocks, for one instance; each raises TemporaryError when the cluster can't do it now."""

    def __init__(self, cluster: Cluster, names: Names, partitions: ClusterPartitions) -> None:
        self._cluster = cluster
        self._names = names
        self._partitions = partitions

    def indices(self, partition: str) -> tuple[Partition, Partition | None]:
        """Return the index in use and the one an interrupted rebuild left beside it, if any.

        Raises PermanentError when no index of that partition is in use.
        """
        found = [index for index in self._partitions.listed() if index.name == partition]
        in_use = next((index for index in found if index.current), None)
        if in_use is None:
            raise PermanentError(
                "no such partition", where=self._names.alias(partition), remedy="see `audit-agent status`"
            )
        return in_use, next((index for index in reversed(found) if not index.current), None)

    def create_next(self, partition: str, old: Partition, properties: Mapping[str, Any]) -> str:
        """Create the next index with the present mapping, without aliases; return its name."""
        name = self._names.concrete(partition, old.number + 1)
        for _ in range(_MOST_TRIES):
            if self._partitions.create(partition, old.number + 1, properties, writable=False):
                return name
            # The copy of a run that was killed goes on in the cluster, and made the index again, with no field mapped.
            self.drop(name)
        got = "the copy of a rebuild that was killed still writes to it"
        raise TemporaryError(
            "the next index cannot be created", where=name, got=got, remedy="repeat it", kind="partial"
        )

    def copy(
        self, old: str, new: str, *, sleep: Callable[[float], None], progress: Callable[[int, int], None]
    ) -> Copied:
        """Copy what is new in `old` into `new`; `progress` gets (done, total). An interrupted pass may be repeated.

        `sleep` may raise to interrupt; the server's task is then cancelled.
        """
        self.refresh(old)
        body = {
            "source": {"index": old, "size": _BATCH_ROWS},
            # External versions: only what is newer than the target's own copy is written.
            "dest": {"index": new, "version_type": "external"},
            "conflicts": "proceed",
        }
        params = {"wait_for_completion": "false", "refresh": "true"}
        task = str(self._cluster.call("POST", "/_reindex", params=params, body=body)["task"])
        finished = False
        try:
            while not finished:
                answer = self._cluster.call("GET", url_path("_tasks", task))
                status = answer["task"]["status"]
                progress(status["created"] + status["updated"] + status["version_conflicts"], status["total"])
                finished = answer["completed"]
                if not finished:
                    sleep(_POLL_SECONDS)
        finally:
            if not finished:
                self._cluster.answer("POST", url_path("_tasks", task, "_cancel"), accept=(404,))
        return _copied(answer, f"_reindex {old}")

    def swap(self, partition: str, old: str, new: str) -> None:
        """Move all of the partition's aliases in one call: no reader or writer ever sees none or both."""
        names = self._names
        moved = (names.alias(partition), names.read, names.read_all)
        actions: list[dict[str, Any]] = [{"add": {"index": new, "alias": alias}} for alias in moved]
        actions += [{"remove": {"index": old, "alias": alias, "must_exist": False}} for alias in moved]
        self._cluster.call("POST", "/_aliases", body={"actions": actions})
        # No longer half full: a repair may choose it from now on.
        meta = {"instance": names.instance, "partition": partition, "rebuilding": False}
        self._cluster.call("PUT", url_path(new, "_mapping"), body={"_meta": meta})

    def seal(self, index: str) -> None:
        """Block writing to an index that no alias names any more, so that nothing can still slip into it."""
        self._cluster.call("PUT", url_path(index, "_settings"), body={"index.blocks.write": True})
        self.refresh(index)

    def unequal(self, old: str, new: str) -> Iterator[Unequal]:
        """Return what differs between two indices, by streaming both in order of id: memory stays flat."""
        theirs = self._checksums(old)
        ours = self._checksums(new)
        left, right = next(theirs, None), next(ours, None)
        while left or right:
            if right is None or (left is not None and left[0] < right[0]):
                assert left is not None  # noqa: S101  narrows the type: one of both is there
                yield Unequal(left[0][1], left[1], None)
                left = next(theirs, None)
            elif left is None or right[0] < left[0]:
                yield Unequal(right[0][1], None, right[1])
                right = next(ours, None)
            else:
                if left[1] != right[1]:
                    yield Unequal(left[0][1], left[1], right[1])
                left, right = next(theirs, None), next(ours, None)

    def drop(self, index: str) -> None:
        """Delete one concrete index. Raises PermanentError for one that is in use."""
        shape = self._names.parse(index)
        if shape is None or any(found.index == index and found.current for found in self._partitions.listed()):
            raise PermanentError("an index in use is not dropped", where=index)
        self._cluster.answer("DELETE", url_path(index), accept=(404,))

    def refresh(self, index: str) -> None:
        """Make all that was acknowledged visible to the next pass."""
        Search(self._cluster, index).refresh()

    def _checksums(self, index: str) -> Iterator[tuple[tuple[int, str], int]]:
        body = {"_source": False, "docvalue_fields": ["agent.crc"]}
        for page in Search(self._cluster, index).pages(body, sort=({"id": "asc"},), size=_COMPARE_ROWS):
            for hit in page:
                crc = hit.get("fields", {}).get("agent.crc", [-1])[0]
                yield (hit["sort"][0], hit["_id"]), int(crc)


def _copied(answer: dict[str, Any], where: str) -> Copied:
    if answer.get("error"):
        # The task's own refusal stands in its answer, whose status is 200.
        raise translated(503, {"error": answer["error"]}, where=where)
    response = answer["response"]
    if response.get("failures") or response.get("timed_out") or response.get("canceled"):
        got = printable(response.get("failures") or response.get("canceled") or "timed out", 300)
        raise TemporaryError("the copy stopped early", where=where, got=got, kind="partial")
    return Copied(
        total=response["total"],
        created=response["created"],
        updated=response["updated"],
        unchanged=response["version_conflicts"],
    )
