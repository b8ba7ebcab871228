"""Judge the account's permissions in the cluster: exactly the missing ones, by the name a role gives them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.checking.finding import Finding, fail, ok, warn
from agent.opensearch.permissions import Permission

# What is lost without these is a convenience, not shipping or retention.
_CONVENIENCES = frozenset(("check", "rebuild", "dashboards"))


def permissions(found: Iterable[Permission]) -> Iterator[Finding]:
    """Judge each permission that was tried; one line for all that are held."""
    held = 0
    for permission in found:
        if permission.is_held:
            held += 1
            continue
        name = f"permission {permission.action}"
        target = f" on {permission.pattern}" if permission.pattern else ""
        finding = f"not granted{target}, needed for {permission.purpose}"
        remedy = "add it to the agent's role, see deploy/opensearch/role-writer.json"
        judged = warn if permission.purpose in _CONVENIENCES else fail
        yield judged(name, finding, remedy)
    yield ok("permissions", f"{held} tried and held")
