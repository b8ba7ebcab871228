"""AWS signatures: credentials are asked for at every request, so that they may expire at any time."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import ConfigError, TemporaryError
from agent.opensearch.client import open_cluster
from agent.opensearch.credentials import AwsCredentials, BasicCredentials

MINUTE = 60.0


class BotoCoreError(Exception):
    """Stand for botocore's own."""


@dataclass
class Clock:
    now: float = 0.0


class Expiring:
    """Credentials that last fifteen minutes and renew themselves when asked, as the AWS chain does."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.fault: Exception | None = None

    def get_frozen_credentials(self) -> str:
        if self.fault:
            raise self.fault
        return f"key-{int(self.clock.now // (15 * MINUTE))}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put just as much of boto3 and botocore in place as signing needs."""
    boto3 = types.ModuleType("boto3")
    exceptions = types.ModuleType("botocore.exceptions")
    exceptions.BotoCoreError = BotoCoreError  # type: ignore[attr-defined]  # a module made by hand
    auth = types.ModuleType("botocore.auth")
    request = types.ModuleType("botocore.awsrequest")

    class SigV4Auth:
        def __init__(self, credentials: str, service: str, region: str) -> None:
            self.credentials, self.scope = credentials, f"{region}/{service}"

        def payload(self, _: Any) -> str:
            return "hash"

        def add_auth(self, asked: Any) -> None:
            asked.headers["Authorization"] = f"AWS4 {self.credentials} {self.scope}"

    class AWSRequest:
        def __init__(self, method: str, url: str, data: Any, headers: dict[str, str]) -> None:
            self.method, self.url, self.data, self.headers = method, url, data, dict(headers)

    auth.SigV4Auth = SigV4Auth  # type: ignore[attr-defined]
    request.AWSRequest = AWSRequest  # type: ignore[attr-defined]
    modules = {
        "boto3": boto3,
        "botocore": types.ModuleType("botocore"),
        "botocore.exceptions": exceptions,
        "botocore.auth": auth,
        "botocore.awsrequest": request,
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def session(credentials: Expiring | None) -> Any:
    return types.SimpleNamespace(get_credentials=lambda: credentials)


@pytest.mark.usefixtures("aws")
def test_credentials_that_expire_every_fifteen_minutes_never_fail_a_request() -> None:
    clock = Clock()
    sign = AwsCredentials("eu-central-1", "https://x.es.amazonaws.com", session(Expiring(clock)))
    seen = set()
    for minute in range(41):
        clock.now = minute * MINUTE
        header = sign("POST", "https://x.es.amazonaws.com:443/_bulk", b"{}")["Authorization"]
        assert header == f"AWS4 key-{minute // 15} eu-central-1/es"
        seen.add(header)
    assert len(seen) == 3


@pytest.mark.usefixtures("aws")
def test_a_serverless_collection_is_signed_for_its_own_service() -> None:
    sign = AwsCredentials("eu-central-1", "https://x.aoss.amazonaws.com", session(Expiring(Clock())))
    assert sign("GET", "https://x.aoss.amazonaws.com/", None)["Authorization"].endswith("/aoss")


@pytest.mark.usefixtures("aws")
def test_a_chain_that_cannot_refresh_now_is_waited_for() -> None:
    credentials = Expiring(Clock())
    sign = AwsCredentials("eu-central-1", "https://x.es.amazonaws.com", session(credentials))
    credentials.fault = BotoCoreError("secret detail")
    with pytest.raises(TemporaryError) as failure:
        sign("GET", "https://x.es.amazonaws.com/", None)
    assert failure.value.kind == "forbidden"
    assert "secret detail" not in str(failure.value)


@pytest.mark.usefixtures("aws")
def test_no_credentials_at_all_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigError):
        AwsCredentials("eu-central-1", "https://x.es.amazonaws.com", session(None))


def test_without_the_extra_the_remedy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError) as failure:
        open_cluster(OpenSearchSettings(hosts=("https://x.es.amazonaws.com",), aws_region="eu-central-1"))
    assert "impulse-audit-agent[aws]" in failure.value.remedy


def test_a_password_is_not_in_the_representation() -> None:
    assert "hunter2" not in repr(BasicCredentials("agent", "hunter2", None))


def test_a_password_may_hold_any_character() -> None:
    headers = BasicCredentials("agent", "pä:ss wörd", None)("GET", "", None)
    assert headers == {"authorization": "Basic YWdlbnQ6cMOkOnNzIHfDtnJk"}
