"""A Dashboards server over HTTP, as far as an import needs it, that can answer wrongly on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class StubDashboards:
    """Keep saved objects by the import's rules. `fault` names the lie to tell."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.fault = ""
        self.url = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if self.fault == "login page":
            return 200, "<html>please log in</html>"
        if self.fault == "unauthorized":
            return 401, {"statusCode": 401, "error": "Unauthorized", "message": "Authentication Exception"}
        if self.fault == "proxy 404":
            return 404, "nginx: not found"
        if self.fault == "starting":
            return 503, {"statusCode": 503, "message": "OpenSearch Dashboards server is not ready yet"}
        if path == "/api/status":
            return 200, {"version": {"number": "3.8.0"}, "status": {"overall": {"state": "green"}}}
        if path == "/api/saved_objects/_import" and method == "POST":
            return 200, self._import(body)
        kind, _, identity = unquote(path.removeprefix("/api/saved_objects/")).partition("/")
        return self._object(method, (kind, identity), body)

    def _object(self, method: str, key: tuple[str, str], body: bytes) -> tuple[int, Any]:
        stored = self.objects.get(key)
        if stored is None or (self.fault == "one is gone" and key[1] == "impulse-audit-overview"):
            return 404, {
                "statusCode": 404,
                "error": "Not Found",
                "message": f"Saved object [{'/'.join(key)}] not found",
            }
        if method == "PUT":
            change = json.loads(body)
            if change.get("version") not in (None, stored["version"]):
                return 409, {"statusCode": 409, "error": "Conflict", "message": "version conflict"}
            if self.fault != "writes are dropped":
                stored["attributes"] |= change["attributes"]
                stored["version"] = stored["version"] + "x"
            return 200, stored
        if self.fault == "another came back":
            return 200, stored | {"id": "somebody-elses"}
        if self.fault == "an old one came back" and key[0] == "visualization":
            return 200, stored | {"attributes": stored["attributes"] | {"visState": "{}"}}
        if self.fault == "reference lost" and key[0] == "dashboard":
            return 200, stored | {"references": stored["references"][1:]}
        return 200, stored

    def _import(self, body: bytes) -> dict[str, Any]:
        content = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        objects = [json.loads(line) for line in content.decode().splitlines() if line.strip()]
        if self.fault == "nothing stored":
            return {"success": True, "successCount": len(objects)}
        if self.fault == "claims fewer":
            self._store(objects)
            return {"success": True, "successCount": len(objects) - 1}
        known = {(item["type"], item["id"]) for item in objects} | set(self.objects)
        errors = []
        if self.fault == "one refused with 200":
            errors.append({"id": "impulse-audit-vis-held", "type": "visualization", "error": {"type": "conflict"}})
        for item in objects:
            lost = [ref for ref in item["references"] if (ref["type"], ref["id"]) not in known]
            if lost:
                error = {"type": "missing_references", "references": lost}
                errors.append({"id": item["id"], "type": item["type"], "error": error})
        refused = {(entry["type"], entry["id"]) for entry in errors}
        taken = [item for item in objects if (item["type"], item["id"]) not in refused]
        self._store(taken)
        return {"success": not errors, "successCount": len(taken)} | ({"errors": errors} if errors else {})

    def _store(self, objects: list[dict[str, Any]]) -> None:
        for item in objects:
            self.objects[item["type"], item["id"]] = item | {
                "version": "WzEsMV0=",
                "updated_at": "2026-11-23T00:00:00Z",
            }


@contextmanager
def serving() -> Iterator[StubDashboards]:
    stub = StubDashboards()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            stub.requests.append((self.command, self.path, headers))
            status, answer = stub.answer(self.command, urlsplit(self.path).path, body)
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _handle  # noqa: N815  # names of the standard library

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
