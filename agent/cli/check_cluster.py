"""Ask the cluster, Dashboards and the state document what `check` wants to know. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from agent.checking import cluster, dashboards, host, indices, permissions, progress
from agent.checking.finding import Finding, failure, ok
from agent.cli.app import Application
from agent.cli.check_question import asked
from agent.cli.dashboards import shipped_objects
from agent.cli.line import Line
from agent.content.dashboards_api import DashboardsApi
from agent.content.install import INDEX_PATTERN, dashboards_drift, pattern_drift
from agent.errors import TemporaryError
from agent.observing.status import report
from agent.opensearch.facts import Facts
from agent.opensearch.partition_facts import partition_facts, taken_names
from agent.opensearch.permissions import tried_permissions
from agent.shipping.partitions import PreparedPartitions

_DENIED = "forbidden"
_GRACE_FACTOR = 10


def cluster_findings(app: Application) -> Iterator[Finding]:
    """Examine cluster, account, templates, partitions."""
    facts = Facts(app.cluster, app.names)
    settings = app.configuration.settings.opensearch
    try:
        yield cluster.version(facts.version(), app.cluster.hosts)
    except TemporaryError as error:
        if error.kind != _DENIED or error.got == "401":
            yield failure("opensearch", error)
            return
    yield from asked("permissions", lambda: permissions.permissions(tried_permissions(app.cluster, app.names)))
    yield from asked("opensearch health", lambda: cluster.health(facts.health(), settings.replicas))
    needed = settings.shards * (1 + settings.replicas)
    yield from asked("shard headroom", lambda: cluster.shard_headroom(facts.free_shards(), needed))
    yield from asked("disk", lambda: cluster.disks(facts.disks()))
    yield from asked("clock of opensearch", lambda: _clock(facts))
    yield from asked("blocks", lambda: cluster.blocks(facts.blocks(), cluster=facts.cluster_blocks()))
    yield from asked("ISM policy", lambda: cluster.lifecycle(facts.lifecycle_policies()))
    yield from asked("templates", lambda: cluster.templates(app.templates.inspect()))
    yield from asked("aliases", lambda: indices.taken_names(taken_names(app.cluster, app.names)))
    yield from asked("partitions", lambda: _partitions(app))
    yield from asked("context fields", lambda: _catalogue(app))


def progress_findings(app: Application) -> Iterator[Finding]:
    """Examine the state document, what it remembers of the table, gaps and dead letters."""
    app.state.refresh_unclaimed()
    members = app.state.members
    line = Line(app)
    line.checkpoint.open()
    poll = app.configuration.settings.tail.poll_seconds
    yield from progress.state(report(members or None, instance=app.instance, now=datetime.now(UTC), poll_seconds=poll))
    yield from progress.paused(members.get("paused"))
    gaps = app.configuration.settings.tail.gaps
    limit = progress.OLD_GAP_SECONDS
    if members.get("evidence") == "grace":
        limit = max(limit, _GRACE_FACTOR * gaps.grace_seconds)
    now = time.time()
    open_gaps = [(gap.first, gap.last, now - gap.sighting.seen_at) for gap in line.checkpoint.progress.gaps]
    yield from progress.gaps(open_gaps, limit_seconds=limit)
    yield from asked("dead letters", lambda: progress.dead_letters(app.dead_letters.count()))
    if members:
        yield from asked("source", lambda: _continuity(line))


def dashboards_findings(app: Application, api: DashboardsApi) -> Iterator[Finding]:
    """Examine what is installed in Dashboards."""
    yield ok("dashboards version", f"{api.version()} at {api.url}")
    wanted = shipped_objects(app)
    patterns = frozenset(item.name for item in wanted if item.type == INDEX_PATTERN)
    yield from dashboards.objects(dashboards_drift(api, wanted), patterns=patterns, url=api.url)
    yield from dashboards.fields(pattern_drift(api, wanted, app.cluster), url=api.url)


def _continuity(line: Line) -> Iterator[Finding]:
    lost = line.check_source()
    yield ok("source", "the table is the one the checkpoint speaks of")
    yield from progress.purged_unread(lost)


def _clock(facts: Facts) -> Finding:
    theirs = facts.clock()
    if theirs is None:
        return ok("clock of opensearch", "not readable with this account")
    return host.clock("opensearch", theirs, datetime.now(UTC))


def _partitions(app: Application) -> Iterator[Finding]:
    aliases = (app.names.read, app.names.read_all)
    return indices.partitions(partition_facts(app.cluster, app.names), read_aliases=aliases)


def _catalogue(app: Application) -> Finding:
    PreparedPartitions(app.catalogue, app.partitions).learn()
    return indices.catalogue(app.catalogue.paths, app.catalogue.max_fields)
