"""Who the agent is to the cluster: basic authentication from settings or a file, or AWS signatures.

Each is what the driver calls for the headers of one request. A password file is read again when the cluster refuses
the password, so a rotated secret needs no restart; AWS credentials refresh themselves.
"""

from __future__ import annotations

import base64
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from agent.config.secrets import read_secret_file
from agent.errors import ConfigError, TemporaryError
from agent.opensearch.driver import Urllib3AWSV4SignerAuth

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.connections import OpenSearchSettings


class Credentials(Protocol):
    """Headers for a request; safe for use by several threads."""

    def __call__(self, method: str, url: str, body: bytes | str | None) -> dict[str, str]:
        """Return the headers that authenticate this request; raises TemporaryError when they can't be had now."""
        ...

    @property
    def generation(self) -> int:
        """Count the changes so far: a request refused under an older one is worth another try."""
        ...

    def renew(self) -> None:
        """Look for something newer after the cluster refused."""
        ...

    def sent(self) -> tuple[str, ...]:
        """Return what of the last headers is secret: a server or proxy may quote them back."""
        ...


def credentials_for(settings: OpenSearchSettings) -> Credentials | None:
    """Return how to authenticate, or None. Raises ConfigError when a secret or a needed package is missing."""
    if settings.aws_region:
        return AwsCredentials(settings.aws_region, settings.hosts[0])
    if settings.username:
        password = settings.password.get_secret_value() if settings.password else ""
        return BasicCredentials(settings.username, password, settings.password_file)
    return None


def basic_token(username: str, password: str) -> str:
    """Return user and password as a header carries them: as good as the password itself."""
    return base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


class BasicCredentials:
    """User and password; the password from a file if one is named."""

    def __init__(self, username: str, password: str, password_file: Path | None) -> None:
        self._username = username
        self._password_file = password_file
        self._password = self._from_file() if password_file else password
        self._headers = self._encoded()
        self._generation = 0
        self._renewing = Lock()

    def __call__(self, method: str, url: str, body: bytes | str | None) -> dict[str, str]:
        del method, url, body
        return self._headers

    def __repr__(self) -> str:
        return f"BasicCredentials({self._username!r})"

    @property
    def generation(self) -> int:
        """Count the passwords; see `Credentials`."""
        return self._generation

    def renew(self) -> None:
        """Read the file again."""
        if self._password_file is None:
            return
        with self._renewing:
            try:
                password = self._from_file()
            except ConfigError:
                # In the middle of a rotation the file may be missing or empty for a moment.
                return
            if password != self._password:
                self._password = password
                self._headers = self._encoded()
                self._generation += 1

    def sent(self) -> tuple[str, ...]:
        """Return the password and the header's form of it."""
        return self._password, basic_token(self._username, self._password)

    def _from_file(self) -> str:
        assert self._password_file is not None  # noqa: S101  narrows the type: callers checked
        return read_secret_file(self._password_file, "opensearch.password_file")

    def _encoded(self) -> dict[str, str]:
        return {"authorization": f"Basic {basic_token(self._username, self._password)}"}


class AwsCredentials:
    """Signatures for Amazon OpenSearch Service from the standard credential chain, which refreshes itself."""

    def __init__(self, region: str, host: str, session: Any = None) -> None:
        try:
            # An optional extra, and heavy: loaded only where it is asked for.
            boto3 = import_module("boto3")
            failures = import_module("botocore.exceptions").BotoCoreError
        except ImportError:
            remedy = "pip install 'impulse-audit-agent[aws]'"
            raise ConfigError("opensearch.aws_region needs the extra `aws`", remedy=remedy) from None
        service = "aoss" if ".aoss." in host else "es"
        found = (session or boto3.Session()).get_credentials()
        if found is None:
            remedy = "give the machine a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise ConfigError("no AWS credentials found", where="opensearch.aws_region", remedy=remedy)
        self._failures: type[Exception] = failures
        self._sign = Urllib3AWSV4SignerAuth(found, region, service)
        self._token = ""

    def __call__(self, method: str, url: str, body: bytes | str | None) -> dict[str, str]:
        try:
            headers: dict[str, str] = self._sign(method, url, body)
        except self._failures as failure:
            # The chain asks the instance's metadata service, which may be away for a while.
            got = type(failure).__name__
            raise TemporaryError("AWS credentials cannot be refreshed", got=got, kind="forbidden") from failure
        self._token = headers.get("X-Amz-Security-Token", "")
        return headers

    @property
    def generation(self) -> int:
        """Stay the same: the chain refreshes before expiry, so a refusal means a missing permission."""
        return 0

    def renew(self) -> None:
        """Leave it to the chain."""

    def sent(self) -> tuple[str, ...]:
        """Return the session's token: of the key itself only signatures travel."""
        return (self._token,)
