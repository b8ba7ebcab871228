"""What the account may do in the cluster, found out by trying each action where it can do no harm.

Asking for one's roles needs rights an agent must not have, and what they add up to is the security plugin's business.
So every action is tried on an index that does not exist, with content the server must refuse, or on the agent's own
dead letters with a condition nothing meets: permission is checked before any of that, and only a refusal for lack of
it counts. Nothing is created, changed or removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.errors import TemporaryError
from agent.opensearch.answers import Refused
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names

SHIPPING, RETENTION, VERIFY, REBUILD = "shipping", "retention", "verify", "rebuild"
CHECK, DASHBOARDS = "check", "dashboards"

# Names of shard-level actions end in brackets of their own: `indices:data/write/bulk[s]`.
_ACTION = r"(?:cluster|indices):[a-z_/*]+(?:\[\w*\]?)?"
_DENIED = re.compile(rf"no permissions for \[({_ACTION}(?:, ?{_ACTION})*)\]")
_ONLY_ACTIONS = re.compile(rf"{_ACTION}(?:, ?{_ACTION})*")
_MISFIT: dict[str, Any] = {"settings": {"index.number_of_shards": "0"}}
_IMPOSSIBLE = {"if_seq_no": "9007199254740991", "if_primary_term": "1"}
_NOBODY = "check-probe"
_ACCEPTED = (400, 404, 405, 409)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One action as roles name it, what the agent does with it, and whether the account has it.

    `pattern` names the indices it was tried on, empty for what is granted for the whole cluster.
    """

    action: str
    pattern: str
    purpose: str
    is_held: bool


@dataclass(frozen=True, slots=True)
class _Try:
    action: str
    purpose: str
    method: str
    path: str
    body: Any = None
    params: dict[str, str] | None = None


def tried_permissions(cluster: Cluster, names: Names) -> list[Permission]:
    """Try every action the agent takes. Raises TemporaryError when the cluster cannot be asked."""
    found: dict[tuple[str, str], Permission] = {}
    for attempt in _cluster_wide(names):
        _add(found, attempt, "", _denied(cluster, attempt))
    for prefix in (names.prefix, names.agent_prefix):
        for attempt in _on_nothing(f"{prefix}-{_NOBODY}"):
            _add(found, attempt, f"{prefix}-*", _denied(cluster, attempt))
    if cluster.answer("GET", url_path(names.dead_letters, "_doc", _NOBODY), accept=(403, 404)).body.get("_index"):
        for attempt in _on_dead_letters(names.dead_letters):
            _add(found, attempt, f"{names.agent_prefix}-*", _denied(cluster, attempt))
        _add_point_in_time(cluster, names, found)
    return list(found.values())


def _cluster_wide(names: Names) -> Iterator[_Try]:
    template = f"{names.prefix}-{_NOBODY}"
    unbuilt = {"index_patterns": [f"{template}-*"], "composed_of": [f"{template}-missing"]}
    component, index_template = url_path("_component_template", template), url_path("_index_template", template)
    scroll = "bm8="
    missing = {"source": {"index": f"{names.prefix}-{_NOBODY}"}, "dest": {"index": f"{names.prefix}-{_NOBODY}-2"}}
    delete = b'{"delete":{"_index":"%s","_id":"1"}}\n' % f"{names.prefix}-{_NOBODY}".encode()
    yield _Try("cluster:monitor/main", CHECK, "GET", "/")
    yield _Try("cluster:admin/component_template/get", SHIPPING, "GET", component)
    yield _Try("cluster:admin/component_template/put", SHIPPING, "PUT", component, {"template": _MISFIT})
    yield _Try("indices:admin/index_template/get", SHIPPING, "GET", index_template)
    yield _Try("indices:admin/index_template/put", SHIPPING, "PUT", index_template, unbuilt)
    yield _Try("indices:data/write/bulk", SHIPPING, "POST", "/_bulk", delete)
    yield _Try("indices:data/read/mget", VERIFY, "POST", "/_mget", _documents(template))
    yield _Try("indices:data/read/scroll", RETENTION, "POST", "/_search/scroll", {"scroll_id": scroll})
    yield _Try("indices:data/read/scroll/clear", RETENTION, "DELETE", "/_search/scroll", {"scroll_id": [scroll]})
    yield _Try("cluster:monitor/health", CHECK, "GET", "/_cluster/health")
    yield _Try("cluster:monitor/nodes/stats", CHECK, "GET", "/_nodes/stats/fs")
    yield _Try("cluster:monitor/state", CHECK, "GET", "/_cluster/settings")
    yield _Try("indices:data/write/reindex", REBUILD, "POST", "/_reindex", missing)
    yield _Try("cluster:monitor/task/get", REBUILD, "GET", "/_tasks/no-node:1")
    yield _Try("cluster:admin/tasks/cancel", REBUILD, "POST", "/_tasks/no-node:1/_cancel")


def _on_nothing(index: str) -> Iterator[_Try]:
    remove = {"actions": [{"remove": {"index": index, "alias": f"{index}-alias"}}]}
    nothing: dict[str, Any] = {"query": {"match_none": {}}}
    yield _Try("indices:admin/create", SHIPPING, "PUT", url_path(index), _MISFIT)
    yield _Try("indices:admin/get", SHIPPING, "GET", url_path(index))
    yield _Try("indices:admin/aliases", SHIPPING, "POST", "/_aliases", remove)
    yield _Try("indices:admin/aliases/get", SHIPPING, "GET", url_path(index, "_alias"))
    yield _Try("indices:admin/mapping/put", SHIPPING, "PUT", url_path(index, "_mapping"), {"properties": {}})
    yield _Try("indices:admin/mappings/get", SHIPPING, "GET", url_path(index, "_mapping"))
    yield _Try("indices:data/read/get", SHIPPING, "GET", url_path(index, "_doc", "1"))
    yield _Try("indices:data/read/search", SHIPPING, "POST", url_path(index, "_search"), nothing)
    yield _Try("indices:admin/refresh", SHIPPING, "POST", url_path(index, "_refresh"))
    yield _Try("indices:admin/delete", RETENTION, "DELETE", url_path(index))
    yield _Try("indices:data/write/delete/byquery", RETENTION, "POST", url_path(index, "_delete_by_query"), nothing)
    yield _Try(
        "indices:admin/settings/update", REBUILD, "PUT", url_path(index, "_settings"), {"refresh_interval": "1s"}
    )
    yield _Try("indices:monitor/settings/get", CHECK, "GET", url_path(index, "_settings"))
    yield _Try(
        "indices:data/read/field_caps", DASHBOARDS, "GET", url_path(index, "_field_caps"), None, {"fields": "id"}
    )


def _on_dead_letters(index: str) -> Iterator[_Try]:
    """Try what is only checked where a shard is met: on the agent's own index, under a condition nothing meets."""
    nothing: dict[str, Any] = {"query": {"match_none": {}}}
    key = json.dumps({"_index": index, "_id": _NOBODY})[1:-1]
    indexing = f'{{"index":{{{key},"if_seq_no":{_IMPOSSIBLE["if_seq_no"]},"if_primary_term":1}}}}\n{{}}\n'
    yield _Try("indices:data/write/bulk[s]", SHIPPING, "POST", "/_bulk", indexing.encode())
    yield _Try("indices:data/write/index", SHIPPING, "PUT", url_path(index, "_doc", _NOBODY), {}, _IMPOSSIBLE)
    yield _Try("indices:data/write/delete", RETENTION, "DELETE", url_path(index, "_doc", _NOBODY), None, _IMPOSSIBLE)
    yield _Try("indices:admin/refresh[s]", SHIPPING, "POST", url_path(index, "_refresh"))
    yield _Try("indices:data/read/mget[shard]", VERIFY, "POST", "/_mget", _documents(index))
    yield _Try("indices:data/write/delete/byquery", RETENTION, "POST", url_path(index, "_delete_by_query"), nothing)


def _add_point_in_time(cluster: Cluster, names: Names, found: dict[tuple[str, str], Permission]) -> None:
    path, pattern = url_path(names.dead_letters, "_search", "point_in_time"), f"{names.agent_prefix}-*"
    opening = _Try("indices:data/read/point_in_time/create", RETENTION, "POST", path, None, {"keep_alive": "10s"})
    answer = _asked(cluster, opening)
    _add(found, opening, pattern, _denials(opening, answer))
    if isinstance(answer, dict) and "pit_id" in answer:
        body = {"pit_id": [answer["pit_id"]]}
        action = "indices:data/read/point_in_time/delete"
        closing = _Try(action, RETENTION, "DELETE", "/_search/point_in_time", body)
        _add(found, closing, pattern, _denied(cluster, closing))


def _add(found: dict[tuple[str, str], Permission], attempt: _Try, pattern: str, denied: list[str]) -> None:
    """Note the outcome; what the server names is believed before what was thought to be tried."""
    if not denied:
        held = Permission(action=attempt.action, pattern=pattern, purpose=attempt.purpose, is_held=True)
        found.setdefault((attempt.action, pattern), held)
    for action in denied:
        known = found.get((action, pattern))
        purpose = known.purpose if known else attempt.purpose
        found[action, pattern] = Permission(action=action, pattern=pattern, purpose=purpose, is_held=False)


def _denied(cluster: Cluster, attempt: _Try) -> list[str]:
    return _denials(attempt, _asked(cluster, attempt))


def _asked(cluster: Cluster, attempt: _Try) -> Any:
    """Return the answer's body, or the refusal for lack of permission; every other refusal came after that check."""
    try:
        answer = cluster.answer(
            attempt.method, attempt.path, params=attempt.params, body=attempt.body, accept=_ACCEPTED
        )
    except Refused:
        return {}
    except TemporaryError as error:
        if error.kind == "forbidden":
            return error
        if error.kind in ("unreachable", "timeout", "tls", "not_json"):
            raise
        return {}
    return answer.body


def _denials(attempt: _Try, answer: Any) -> list[str]:
    if isinstance(answer, TemporaryError):
        # The translated error holds the action's name alone where the server gave one.
        return _names(answer.got) if _ONLY_ACTIONS.fullmatch(answer.got) else [attempt.action]
    # A part of a bulk, of shards or of a task may be refused inside an answer that is a success.
    return list(dict.fromkeys(name for text in _DENIED.findall(json.dumps(answer)) for name in _names(text)))


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    return [f"{name}]" if "[" in name and not name.endswith("]") else name for name in names]


def _documents(index: str) -> dict[str, Any]:
    return {"docs": [{"_index": index, "_id": _NOBODY}]}
