"""Requests signed for Amazon OpenSearch Service, judged by a stub that checks each signature as the service would."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import TemporaryError
from agent.observing.mask import SecretMask
from agent.opensearch.bulk import ClusterBulk, Verdict
from agent.opensearch.client import Cluster, open_cluster
from tests.fakes.node import Reply, Request, stub_node

boto3 = pytest.importorskip("boto3", reason="the extra `aws` is not installed")
from botocore import auth, awsrequest, credentials  # noqa: E402  there is nothing to import without the extra

REGION = "eu-central-1"
LIFE = dt.timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/eu-central-1/es/aws4_request, SignedHeaders=([\w;-]+), Signature=(\w+)"
)


@dataclass
class Issuer:
    """Give out credentials that live a quarter of an hour, by a clock that the test moves."""

    now: dt.datetime = dt.datetime(2026, 11, 23, 21, 0, tzinfo=dt.UTC)
    issued: dict[str, tuple[str, str, dt.datetime]] = field(default_factory=dict)
    fails: bool = False

    def issue(self) -> dict[str, str]:
        if self.fails:
            raise credentials.MetadataRetrievalError(error_msg="the metadata service is away")
        key = f"AKIA{len(self.issued):016}"
        self.issued[key] = (f"secret-{key}", f"token-{key}", self.now + LIFE)
        secret, token, expiry = self.issued[key]
        return {"access_key": key, "secret_key": secret, "token": token, "expiry_time": expiry.isoformat()}

    def get_credentials(self) -> Any:
        return credentials.RefreshableCredentials.create_from_metadata(
            self.issue(), refresh_using=self.issue, method="test", advisory_timeout=300, mandatory_timeout=120
        )


def judged(issuer: Issuer, request: Request) -> Reply:
    """Accept a request whose signature is right for credentials that are alive; anything else is a 403."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if not found or found[1] not in issuer.issued:
        return Reply(403, b'{"message":"unsigned"}')
    secret, token, expiry = issuer.issued[found[1]]
    if issuer.now >= expiry:
        return Reply(403, b'{"message":"The security token included in the request is expired"}')
    signer = auth.SigV4Auth(credentials.Credentials(found[1], secret, token), "es", REGION)
    headers = {name: request.headers[name] for name in found[2].split(";")}
    url = f"http://{request.headers['host']}{request.path}"
    again = awsrequest.AWSRequest(method=request.method, url=url, data=request.body, headers=headers)
    again.context["timestamp"] = request.headers["x-amz-date"]
    wanted = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    if wanted != found[3] or request.headers["x-amz-security-token"] != token:
        return Reply(403, b'{"message":"The request signature we calculated does not match"}')
    count = request.body.count(b"\n") // 2
    items = ",".join(['{"index":{"status":201}}'] * count)
    return Reply(200, f'{{"errors":false,"items":[{items}]}}'.encode())


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Issuer:
    made = Issuer()
    monkeypatch.setattr(boto3, "Session", lambda: made)
    # The clock stands in the default of an argument, where credentials made from metadata look for it.
    monkeypatch.setattr(credentials.RefreshableCredentials, "refresh_needed", _refresh_needed_by(made), raising=True)
    monkeypatch.setattr(auth, "get_current_datetime", lambda remove_tzinfo=True: made.now.replace(tzinfo=None))
    return made


def _refresh_needed_by(issuer: Issuer) -> Any:
    original = credentials.RefreshableCredentials.refresh_needed

    def refresh_needed(self: Any, refresh_in: float | None = None) -> bool:
        self._time_fetcher = lambda: issuer.now
        return bool(original(self, refresh_in))

    return refresh_needed


@pytest.fixture
def quoting() -> dict[str, int]:
    """Hold after how many characters of an explanation the service quotes the token; empty: it accepts."""
    return {}


@pytest.fixture
def cluster(issuer: Issuer, quoting: dict[str, int]) -> Iterator[Cluster]:
    def answered(request: Request) -> Reply:
        if not quoting:
            return judged(issuer, request)
        told = "·" * quoting["padding"] + request.headers["x-amz-security-token"]
        return Reply(403, json.dumps({"message": told}).encode())

    with stub_node(answered) as node:
        opened = open_cluster(OpenSearchSettings(hosts=(node.url,), aws_region=REGION))
        yield opened
        opened.close()


def body(number: int) -> bytes:
    return b'{"index":{"_index":"a b","_id":"%d"}}\n{"detail":"\xc3\xbc"}\n' % number


def test_credentials_that_live_15_minutes_fail_no_batch_in_40(issuer: Issuer, cluster: Cluster) -> None:
    bulk = ClusterBulk(cluster)
    begun = issuer.now
    batches = 0
    while issuer.now < begun + dt.timedelta(minutes=40):
        outcomes = bulk.send(body(batches), [str(batches)])
        assert outcomes == {} or all(each.verdict is Verdict.INDEXED for each in outcomes.values())
        batches += 1
        issuer.now += dt.timedelta(seconds=30)
    assert batches == 80
    assert 3 <= len(issuer.issued) <= 6, "renewed before each expiry, and not at each request"


def test_a_metadata_service_that_is_away_for_a_while_is_temporary_and_shows_no_secret(
    issuer: Issuer, cluster: Cluster
) -> None:
    bulk = ClusterBulk(cluster)
    bulk.send(body(1), ["1"])
    issuer.fails = True
    issuer.now += LIFE + dt.timedelta(minutes=1)
    with pytest.raises(TemporaryError) as failure:
        bulk.send(body(2), ["2"])
    assert "secret-" not in str(failure.value)
    issuer.fails = False
    bulk.send(body(2), ["2"])


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/", None),
        ("GET", "/impulse-audit-*,x/_mapping", {"filter_path": "*.mappings.properties.a,*.b"}),
        ("GET", "/impulse-agent-state/_doc/a%3A1", {"realtime": "true"}),
        ("POST", "/_search", {"q": "a b+c&d=é"}),
    ],
)
def test_signatures_hold_for_every_kind_of_path(
    cluster: Cluster, method: str, path: str, params: dict[str, str] | None
) -> None:
    assert cluster.call(method, path, params=params)["errors"] is False


@pytest.mark.parametrize("padding", [0, 300, 590, 1000])
def test_a_service_that_quotes_the_request_shows_no_token(
    issuer: Issuer, cluster: Cluster, quoting: dict[str, int], padding: int
) -> None:
    # A wrong signature is answered with the whole canonical request, the session's token in it.
    quoting["padding"] = padding
    with pytest.raises(TemporaryError) as failure:
        cluster.call("GET", "/")
    shown = SecretMask(rotating=cluster.secrets)(str(failure.value))
    assert not re.search(r"toke|secret-", shown), shown
    assert issuer.issued
