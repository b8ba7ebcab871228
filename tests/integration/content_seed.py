"""Rows of known numbers in a real index, for what dashboards and alerts ask.

The index gets the mapping that `setup` installs, plus the context paths of these rows as the agent maps them.
"""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.least_privilege import administrator

TEMPLATES = Path(__file__).parents[2] / "index_templates"
STRINGS = ("exception", "message", "region", "cve_id", "snapshot_id", "task", "key")
NUMBERS = ("server_id", "before", "after")


class Node:
    """A plain client of one node, with the one method that the content room needs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        query = "?" + "&".join(f"{name}={value}" for name, value in params.items()) if params else ""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(
            self.url + path + query, data=data, method=method, headers={"content-type": kind}
        )
        try:
            with urllib.request.urlopen(request, timeout=60, context=administrator(self.url)) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:2000]}") from error

    def search(self, index: str, body: Mapping[str, Any]) -> Any:
        return self.call("POST", f"/{index}/_search", body=body)


class Corner:
    """Two indices of a test's own: documents and state documents; removed at the end."""

    def __init__(self, url: str) -> None:
        self.node = Node(url)
        name = f"content-test-{uuid.uuid4().hex[:10]}"
        self.audit, self.state = f"{name}-audit", f"{name}-state"
        mappings = _template("component/impulse-audit-mappings.json")["template"]["mappings"]
        mappings["properties"]["context"]["properties"] = _context()
        self.node.call("PUT", f"/{self.audit}", body=_index(mappings))
        state = _template("impulse-agent-state.json")["template"]["mappings"]
        self.node.call("PUT", f"/{self.state}", body=_index(state))

    def write(self, documents: Iterable[Mapping[str, Any]], *, index: str = "", routing: str = "") -> None:
        """Write documents; those of one `routing` lie in one shard."""
        lines = []
        for document in documents:
            lines += [json.dumps({"index": {"routing": routing} if routing else {}}), json.dumps(document)]
        answer = self.node.call(
            "POST", f"/{index or self.audit}/_bulk", params={"refresh": "true"}, body=("\n".join(lines) + "\n").encode()
        )
        assert not answer["errors"], answer

    def clear(self) -> None:
        for index in (self.audit, self.state):
            self.node.call(
                "POST", f"/{index}/_delete_by_query", params={"refresh": "true"}, body={"query": {"match_all": {}}}
            )

    def capabilities(self, index: str) -> Any:
        return self.node.call("GET", f"/{index}/_field_caps", params={"fields": "*"})

    def remove(self) -> None:
        self.node.call("DELETE", f"/{self.audit},{self.state}")


def document(
    at: dt.datetime, action: str = "cron.task_failed", *, context: Mapping[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return one document; what is not said is a cron error of impulseminio."""
    columns = {"module_slug": "impulseminio", "source": "cron", "severity": "error", "detail": "something happened"}
    agent = {"crc": 1, "crc_version": 1, "indexed_at": stamp(at + dt.timedelta(seconds=2)), "version": "1.0.0"}
    return {
        "id": int(at.timestamp()),
        "instance": "whmcs",
        "created_at": stamp(at),
        "action": action,
        **columns,
        **fields,
        "context": dict(context or {}),
        "agent": agent | fields.get("agent", {}),
    }


def state(
    heartbeat: dt.datetime | None,
    lag_seconds: float = 1,
    instance: str = "whmcs",
    measured: dt.datetime | None = None,
) -> dict[str, Any]:
    """Return the state document of one agent; its lag was `measured` with the heartbeat unless said otherwise."""
    known = {"instance": instance, "state": "shipping", "reason": "", "lag_seconds": lag_seconds, "backlog_rows": 3}
    known |= {
        "open_gaps": 0,
        "dead_letters": 0,
        "skipped_total": 0,
        "indexed_total": 40,
        "watermark": 40,
        "frontier": 40,
    }
    at = measured or heartbeat
    known |= {"lag_measured_at": stamp(at)} if at else {}
    return known | ({"heartbeat": stamp(heartbeat)} if heartbeat else {})


LEDGER = {"format_version": 1, "seen": None, "seen_at": None, "reached": None, "exported_to": 0, "run": None}
"""What retention keeps in the state index beside the agents' documents."""


def stamp(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _template(name: str) -> Any:
    return json.loads((TEMPLATES / name).read_text(encoding="utf-8"))


def _index(mappings: Any) -> dict[str, Any]:
    return {"settings": {"index": {"number_of_shards": 2, "number_of_replicas": 0}}, "mappings": mappings}


def _context() -> dict[str, Any]:
    text = {"type": "text", "norms": False}
    number = {"type": "double", "ignore_malformed": True}
    leaf = {"type": "keyword", "ignore_above": 1024, "copy_to": "context_text"}
    strings = {name: leaf | {"fields": {"text": text}} for name in STRINGS}
    numbers = {name: leaf | {"fields": {"number": number}} for name in NUMBERS}
    return strings | numbers | {"server": {"properties": {"id": numbers["server_id"]}}}
