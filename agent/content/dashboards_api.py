"""The saved objects API of OpenSearch Dashboards: a server of its own, so it is no business of `agent.opensearch`.

It promises that an answer is only passed on when it is one of Dashboards: anything else is an error of the project
that says what was met. It retries nothing; an import that timed out is read back or repeated by the caller.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import urllib3

from agent.errors import AgentError, ConfigError, PermanentError, TemporaryError, cut

# Dashboards refuses writes without it; any value will do.
_HEADERS = {"osd-xsrf": "true", "accept": "application/json"}
_LONGEST_SHOWN = 200
_NOT_FOUND = 404
_REFUSED = (401, 403)
_PASSING = (408, 429, 500, 502, 503, 504)


class DashboardsApi:
    """Talk to one Dashboards server; `tenant` chooses whose objects are meant where the security plugin has tenants."""

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        tenant: str = "",
        ca_file: Path | None = None,
        verify: bool = True,
        timeout_seconds: float = 30,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError("no URL of Dashboards", got=_without_password(url), remedy="write https://host:5601")
        if parts.username is not None:
            raise ConfigError(
                "a password does not belong into the URL of Dashboards",
                got=_without_password(url),
                remedy="Dashboards takes opensearch.username and opensearch.password_file",
            )
        if not (tenant.isascii() and tenant.isprintable()):
            raise ConfigError("no name of a tenant", got=repr(tenant), remedy="write global, private, or its name")
        self.url = url.rstrip("/")
        self._headers = dict(_HEADERS) | ({"securitytenant": tenant} if tenant else {})
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
            self._headers["authorization"] = f"Basic {token}"
        context = _tls(ca_file, verify=verify) if parts.scheme == "https" else None
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, timeout=timeout_seconds)

    def version(self) -> str:
        """Return the server's version; raises when it is no Dashboards server, or not ready."""
        answer = self._call("GET", "/api/status")
        number = answer.get("version", {}).get("number") if isinstance(answer.get("version"), dict) else None
        if not isinstance(number, str):
            raise PermanentError("this is no Dashboards server", where=f"{self.url}/api/status", got=_shown(answer))
        return number

    def import_objects(self, text: str) -> dict[str, Any]:
        """Import a saved objects file over what is there; the answer names what failed, also with HTTP 200."""
        return self._call(
            "POST", "/api/saved_objects/_import?overwrite=true", fields={"file": ("objects.ndjson", text.encode())}
        )

    def read_object(self, kind: str, identity: str) -> dict[str, Any] | None:
        """Return one object, or None when the server says that it has none of this id."""
        return self._call_or_none("GET", _object_path(kind, identity))

    def update_object(self, kind: str, identity: str, attributes: Mapping[str, Any], *, version: str = "") -> None:
        """Replace some attributes of one object; with `version` only if nobody changed it since it was read."""
        body: dict[str, Any] = {"attributes": dict(attributes)} | ({"version": version} if version else {})
        self._call("PUT", _object_path(kind, identity), body=body)

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        answer = self._call_or_none(method, path, **content)
        if answer is None:
            where = f"{method} {self.url}{path}"
            raise ConfigError("Dashboards has no such path", where=where, remedy="check the URL and its base path")
        return answer

    def _call_or_none(
        self, method: str, path: str, *, body: Any = None, fields: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        where = f"{method} {self.url}{path}"
        try:
            response = self._send(method, path, body, fields)
        except urllib3.exceptions.SSLError as error:
            raise TemporaryError("TLS to Dashboards failed", where=where, got=_cause(error), kind="tls") from error
        except urllib3.exceptions.HTTPError as error:
            raise TemporaryError(
                "Dashboards is unreachable", where=where, got=_cause(error), kind="unreachable"
            ) from error
        return _judged(response.status, response.data, where)

    def _send(self, method: str, path: str, body: Any, fields: dict[str, Any] | None) -> urllib3.BaseHTTPResponse:
        url = self.url + path
        # A redirect leads to a login page: that is an answer to report, not a page to follow.
        if fields is not None:
            return self._pool.request(method, url, headers=self._headers, fields=fields, redirect=False)
        if body is None:
            return self._pool.request(method, url, headers=self._headers, redirect=False)
        headers = {**self._headers, "content-type": "application/json"}
        return self._pool.request(method, url, headers=headers, body=json.dumps(body).encode(), redirect=False)


def _judged(status: int, data: bytes, where: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        text = cut(data.decode("utf-8", "replace"), _LONGEST_SHOWN)
        raise _error(status, where, f"HTTP {status}, no JSON of Dashboards: {text}")
    if status == _NOT_FOUND and answer.get("statusCode") == _NOT_FOUND:
        return None
    if not 200 <= status < 300:
        raise _error(status, where, f"HTTP {status}: {_shown(answer)}")
    return answer


def _error(status: int, where: str, got: str) -> AgentError:
    if status in _REFUSED:
        return ConfigError("Dashboards refused us", where=where, got=got, remedy="check username, password and tenant")
    if status in _PASSING:
        return TemporaryError("Dashboards cannot answer now", where=where, got=got, kind="unavailable")
    return PermanentError("Dashboards did not take the request", where=where, got=got)


def _object_path(kind: str, identity: str) -> str:
    return f"/api/saved_objects/{quote(kind, safe='')}/{quote(identity, safe='')}"


def _tls(ca_file: Path | None, *, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ConfigError("the CA file cannot be used", where=str(ca_file), got=str(error)) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _cause(error: Exception) -> str:
    return cut(str(error).rpartition(">: ")[2], _LONGEST_SHOWN)


def _shown(answer: Mapping[str, Any]) -> str:
    return cut(str(answer.get("message") or answer.get("error") or answer), _LONGEST_SHOWN)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
