"""Judge the cluster: version, health, room for shards and bytes, blocks, policies that fight retention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agent.checking.finding import Finding, fail, ok, warn
from agent.opensearch.facts import Disk, Health, Version
from agent.opensearch.templates import Action, Installed

OLDEST = (2, 11)
FEW_SHARDS = 50
# The server's own defaults: from `low` on no new shard comes to a node, from `high` on shards leave it, at the flood
# stage every index with a shard there becomes read-only.
_FLOOD, _HIGH, _LOW = 0.95, 0.90, 0.85


def version(found: Version, hosts: str) -> Finding:
    """Judge the server's kind and version."""
    name = "opensearch version"
    if found.distribution != "opensearch":
        return fail(name, f"{found.distribution} {found.number} at {hosts}", "name an OpenSearch cluster")
    if found.parts < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return fail(name, f"{found.number} is older than {wanted}: no flat_object for overflow", f"upgrade to {wanted}")
    return ok(name, f"{found.number} at {hosts}, cluster {found.cluster_name}")


def health(found: Health, replicas: int) -> Iterator[Finding]:
    """Judge colour and size."""
    name = "opensearch health"
    size = f"{found.nodes} nodes, {found.shards} shards"
    if found.status == "red":
        remedy = "GET _cluster/allocation/explain says which primary is missing and why"
        yield fail(name, f"red, {size}: some documents cannot be read or written", remedy)
    elif found.status == "yellow":
        yield warn(name, f"yellow, {size}: some copies are missing", "GET _cluster/allocation/explain says why")
    else:
        yield ok(name, f"{found.status}, {size}")
    if replicas >= max(1, found.data_nodes):
        yield warn(
            "replicas",
            f"opensearch.replicas is {replicas} on {found.data_nodes} data nodes: a copy has nowhere to go",
            f"set opensearch.replicas: {max(0, found.data_nodes - 1)}, or add nodes",
        )
    else:
        yield ok("replicas", f"{replicas} on {found.data_nodes} data nodes")


def shard_headroom(free: int | None, needed: int) -> Finding:
    """Judge the cluster's own limit of shards; a new partition takes `needed`."""
    name, remedy = "shard headroom", "raise cluster.max_shards_per_node, remove old indices, or use a longer partition"
    if free is None:
        return ok(name, "not readable with this account")
    if free < needed:
        return fail(name, f"{max(0, free)} shards left, a new partition takes {needed}", remedy)
    if free < max(FEW_SHARDS, 12 * needed):
        return warn(name, f"{free} shards left, each new partition takes {needed}", remedy)
    return ok(name, f"{free} shards left")


def disks(found: Iterable[Disk] | None) -> Iterator[Finding]:
    """Judge each data node's disk by the watermarks."""
    if found is None:
        yield ok("disk", "not readable with this account")
    for disk in found or ():
        used = 1 - disk.free_bytes / max(1, disk.total_bytes)
        name, told = f"disk of {disk.node}", f"{used:.0%} used, {disk.free_bytes / 2**30:.1f} GiB free"
        remedy = "add disk, or shorten documents.days"
        if used >= _FLOOD:
            yield fail(name, f"{told}: at the flood stage indices become read-only", remedy)
        elif used >= _LOW:
            stage = "shards leave this node" if used >= _HIGH else "no new shard comes to this node"
            yield warn(name, f"{told}: {stage}", remedy)
        else:
            yield ok(name, told)


def blocks(found: Mapping[str, Iterable[str]], *, cluster: Iterable[str]) -> Iterator[Finding]:
    """Judge blocks on the agent's indices and on the whole cluster."""
    clean = True
    for setting in cluster:
        clean = False
        remedy = f'PUT _cluster/settings {{"persistent": {{"{setting}": null}}}}'
        yield fail("blocks", f"the whole cluster has {setting}: nothing can be written", remedy)
    for index, names in found.items():
        clean = False
        closed = "closed" in names
        told = "is closed" if closed else f"has {', '.join(names)}"
        settings = ", ".join(f'"{name}": null' for name in names)
        remedy = f"POST /{index}/_open" if closed else f"PUT /{index}/_settings {{{settings}}}"
        yield fail("blocks", f"{index} {told}: rows for it wait", remedy)
    if clean:
        yield ok("blocks", "none")


def lifecycle(found: Mapping[str, str] | None) -> Iterator[Finding]:
    """Judge index state management: a policy on our indices fights retention."""
    name = "ISM policy"
    for index, policy in (found or {}).items():
        remedy = f"POST _plugins/_ism/remove/{index}; retention.yml decides what goes"
        yield warn(name, f"{policy} manages {index}: it may delete or change what retention counts on", remedy)
    if not found:
        yield ok(name, "none on these indices" if found is not None else "no ISM here, or not readable")


def templates(found: Iterable[Installed]) -> Iterator[Finding]:
    """Judge the templates beside what this version ships."""
    for template in found:
        name = f"template {template.name}"
        if template.action is Action.CREATED:
            yield warn(name, "is missing", "run `audit-agent setup`; the daemon installs it when it starts")
        elif template.action is Action.UPGRADED:
            yield warn(name, f"is older than this agent: {template.detail}", "run `audit-agent setup`")
        elif template.action is Action.DRIFTED:
            yield warn(name, template.detail, "`audit-agent setup --force` overwrites it")
        else:
            yield ok(name, template.detail)
