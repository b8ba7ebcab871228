"""Judge the partitions: mapping, room for fields, aliases, and indices that took a name of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.checking.finding import Finding, fail, ok, warn
from agent.opensearch.partition_facts import PartitionFacts

_NEAR = 0.9


def partitions(found: Iterable[PartitionFacts], *, read_aliases: Iterable[str]) -> Iterator[Finding]:
    """Judge each partition; one line for all that are as they should be."""
    good = 0
    wanted = tuple(read_aliases)
    for partition in found:
        problems = list(_problems(partition, wanted))
        yield from problems
        good += not problems
    yield ok("partitions", f"{good} in order: mapping, aliases and room for fields" if good else "none yet")


def taken_names(found: Iterable[str]) -> Iterator[Finding]:
    """Judge indices that bear the name of one of our aliases."""
    for index in found:
        remedy = f"reindex what is in it elsewhere and DELETE /{index}"
        yield fail("aliases", f"an index bears the name of the alias {index}", remedy)


def catalogue(paths: int, max_fields: int) -> Finding:
    """Judge how much of the budget of context fields is used."""
    name, told = "context fields", f"{paths} of {max_fields} used"
    if paths < _NEAR * max_fields or paths == 0:
        return ok(name, told)
    remedy = "raise context.max_fields, or drop keys in context_fields.yml; see `audit-agent fields`"
    return warn(name, f"{told}: new ones are searchable as overflow only, not aggregatable", remedy)


def _problems(found: PartitionFacts, read_aliases: Iterable[str]) -> Iterator[Finding]:
    name = f"partition {found.index}"
    if found.dynamic != "strict":
        yield fail(
            name,
            f"its mapping is dynamic: {found.dynamic}, so it was born without the agent's template",
            f"`audit-agent setup`, then `audit-agent rebuild --partition {found.partition}`",
        )
    if found.fields >= _NEAR * found.fields_limit:
        yield warn(
            name,
            f"{found.fields} of {found.fields_limit} mapped fields used",
            f'PUT /{found.index}/_settings {{"index.mapping.total_fields.limit": {2 * found.fields_limit}}}',
        )
    missing = [alias for alias in read_aliases if alias not in found.aliases]
    if found.is_current and missing:
        yield warn(name, f"lacks the read alias {', '.join(missing)}: searches miss it", "run `audit-agent setup`")
