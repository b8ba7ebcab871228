"""A node with users and roles, and an account of the database with the grants of deploy/: what least privilege is tried on.

The node is the one that AUDIT_TEST_SECURE_OPENSEARCH_URL and _CERTS name; its indices are nobody else's, so the roles are
put exactly as `deploy/opensearch/` has them, with the default prefixes.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.least_privilege import CERTS, DEPLOY, URL, filled_in, grants
from tests.world import Database, World

PASSWORD = "Correct-horse-7-battery"
SECURITY = "/_plugins/_security/api"


def secured() -> None:
    """Skip the test where there is no such node."""
    if not URL:
        pytest.skip("no secured node: AUDIT_TEST_SECURE_OPENSEARCH_URL is not set")


def call(method: str, path: str, body: object = None, *, user: str = "", password: str = PASSWORD) -> Any:
    """Ask the node: as the administrator, or as a user; return the answer, a refusal's too."""
    return asked(method, path, body, user=user, password=password)[1]


def asked(method: str, path: str, body: object = None, *, user: str = "", password: str = PASSWORD) -> tuple[int, Any]:
    """Do the same and return the status too."""
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    headers = {"content-type": "application/json"}
    if user:
        headers["authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    else:
        context.load_cert_chain(CERTS / "admin.pem", CERTS / "admin-key.pem")
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = Request(URL + path, data=data, method=method, headers=headers)
    try:
        with urlopen(request, context=context, timeout=60) as response:
            return response.status, json.loads(response.read() or b"{}")
    except HTTPError as error:
        with error:
            text = error.read()
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, text.decode("utf-8", "replace")


def role(name: str) -> dict[str, Any]:
    """Return `writer` or `reader` as deployed."""
    permissions: dict[str, Any] = json.loads((DEPLOY / "opensearch" / f"role-{name}.json").read_text())
    return permissions


class Account:
    """A user of the node with a role of its own name, which can be changed."""

    def __init__(self, name: str, permissions: dict[str, Any], *, password: str = PASSWORD) -> None:
        self.name = name
        self.permit(permissions)
        self.set_password(password)
        assert asked("PUT", f"{SECURITY}/rolesmapping/{name}", {"users": [name]})[0] < 300

    def permit(self, permissions: dict[str, Any]) -> None:
        status, answer = asked("PUT", f"{SECURITY}/roles/{self.name}", permissions)
        assert status < 300, answer

    def set_password(self, password: str) -> None:
        status, answer = asked("PUT", f"{SECURITY}/internalusers/{self.name}", {"password": password})
        assert status < 300, answer

    def remove(self) -> None:
        for kind in ("rolesmapping", "internalusers", "roles"):
            call("DELETE", f"{SECURITY}/{kind}/{self.name}")


def without(permissions: dict[str, Any], action: str, kind: str) -> dict[str, Any]:
    """Return a role without one action, of the cluster or of the indices."""
    changed: dict[str, Any] = json.loads(json.dumps(permissions))
    actions = (
        changed["cluster_permissions"] if kind == "cluster" else changed["index_permissions"][0]["allowed_actions"]
    )
    actions.remove(action)
    return changed


def permissions_of(permissions: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each permission of a role as (action, kind)."""
    (indices,) = permissions["index_permissions"]
    return [(action, "cluster") for action in permissions["cluster_permissions"]] + [
        (action, "index") for action in indices["allowed_actions"]
    ]


@dataclass(slots=True, kw_only=True)
class DatabaseAccount:
    """An account made by deploy/grants.sql, with password, host and database put in as its head asks."""

    database: Database
    user: str
    password: str
    statements: list[str]

    def run(self, statement: str) -> None:
        self.database.execute(statement)

    def revoke(self, grant: str) -> None:
        self.run(grant.replace("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ", 1))

    @property
    def grants(self) -> list[str]:
        return [statement for statement in self.statements if statement.startswith("GRANT")]

    @property
    def url(self) -> str:
        """Return the URL without the password."""
        server = self.database.server_url.rsplit("@", 1)[1].rstrip("/")
        return f"mysql+pymysql://{self.user}@{server}/{self.database.name}"

    def drop(self) -> None:
        self.run(f"DROP USER IF EXISTS '{self.user}'@'%'")


def account_of(database: Database, *optional: str) -> DatabaseAccount:
    """Execute deploy/grants.sql as written, and of its commented-out parts those that are named."""
    user, password = f"a_{secrets.token_hex(4)}", f"Pw-{secrets.token_hex(8)}"
    statements = [
        filled_in(statement, user=user, password=password, database=database.name)
        for section in grants(*optional).values()
        for statement in section
    ]
    made = DatabaseAccount(database=database, user=user, password=password, statements=statements)
    for statement in statements:
        made.run(statement)
    return made


@dataclass(slots=True, kw_only=True)
class SecureWorld(World):
    """A world on the secured node: TLS, users, the default prefixes; `request` asks as the administrator."""

    opensearch_url: str = URL

    @property
    def index_prefix(self) -> str:
        return "impulse-audit"

    @property
    def agent_prefix(self) -> str:
        return "impulse-agent"

    def use(self, account: Account, database_account: DatabaseAccount) -> None:
        """Have the agent use these accounts, their passwords in files."""
        self.password_file("opensearch").write_text(PASSWORD + "\n")
        self.password_file("mysql").write_text(database_account.password + "\n")
        self.write(
            {
                "source.url": database_account.url,
                "source.password_file": "mysql.password",
                "opensearch.username": account.name,
                "opensearch.password_file": "opensearch.password",
                "opensearch.ca_file": str(CERTS / "ca.pem"),
            }
        )

    def password_file(self, name: str) -> Path:
        file = self.folder / f"{name}.password"
        file.touch(mode=0o600)
        return file

    def request(self, method: str, path: str, body: object = None) -> Any:
        status, answer = asked(method, path, body)
        assert status < 300 or status == 404, (method, path, status, answer)
        return None if status == 404 else answer

    def remove(self) -> None:
        """Leave the node as it was."""
        World.remove(self)
