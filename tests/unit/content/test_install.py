"""Installing dashboards: only what was read back counts, whatever the server says."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.content.dashboards_api import DashboardsApi
from agent.content.install import dashboards_drift, install_dashboards, pattern_drift, prepared, refresh_fields
from agent.content.saved_objects import SavedObject
from agent.errors import AgentError, ConfigError, PermanentError, TemporaryError
from tests.unit.content.stub_dashboards import StubDashboards, serving

FILE = (Path(__file__).parents[3] / "dashboards" / "impulse-audit.ndjson").read_text(encoding="utf-8")
CAPS = {
    "fields": {
        "created_at": {"date": {"type": "date", "searchable": True, "aggregatable": True}},
        "heartbeat": {"date": {"type": "date", "searchable": True, "aggregatable": True}},
        "context.brand_new": {"keyword": {"type": "keyword", "searchable": True, "aggregatable": True}},
        "context": {"object": {"type": "object", "searchable": False, "aggregatable": False}},
        "_seq_no": {"_seq_no": {"type": "_seq_no", "searchable": True, "aggregatable": True}},
    }
}


class Caps:
    def call(self, method, path, *, params=None, body=None):
        assert "_field_caps" in path
        return CAPS


@pytest.fixture
def stub() -> Iterator[StubDashboards]:
    with serving() as server:
        yield server


def objects(cluster=None, **prefixes: str) -> tuple[SavedObject, ...]:
    names = {"index_prefix": "impulse-audit", "agent_prefix": "impulse-agent"} | prefixes
    return prepared(FILE, cluster=cluster, **names)


def test_every_object_is_installed_and_a_second_time_changes_nothing(stub: StubDashboards) -> None:
    api = DashboardsApi(stub.url)
    first = install_dashboards(api, objects())
    stored = json.dumps(sorted(stub.objects.items()), sort_keys=True)
    second = install_dashboards(api, objects())
    assert first.ok
    assert second.ok
    assert len(first.installed) == len(FILE.splitlines())
    assert json.dumps(sorted(stub.objects.items()), sort_keys=True) == stored
    assert dashboards_drift(api, objects()).ok


def test_requests_carry_what_dashboards_insists_on(stub: StubDashboards) -> None:
    install_dashboards(DashboardsApi(stub.url, username="ops", password="s3cret", tenant="global"), objects())
    method, path, headers = stub.requests[0]
    assert (method, path) == ("POST", "/api/saved_objects/_import?overwrite=true")
    assert headers["osd-xsrf"] == "true"
    assert headers["securitytenant"] == "global"
    assert headers["authorization"].startswith("Basic ")
    assert headers["content-type"].startswith("multipart/form-data")


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("one refused with 200", "Provisioning held"),
        ("nothing stored", "missing when read back"),
        ("one is gone", "Audit overview"),
        ("claims fewer", "34 of 35"),
        ("another came back", "somebody-elses"),
        ("an old one came back", "visState differs"),
        ("reference lost", "lost its reference to visualization:"),
    ],
)
def test_a_wrong_answer_is_never_a_success_and_is_named(stub: StubDashboards, fault: str, named: str) -> None:
    stub.fault = fault
    report = install_dashboards(DashboardsApi(stub.url), objects())
    assert not report.ok
    assert named in "\n".join(str(failure) for failure in report.failed)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("login page", PermanentError),
        ("unauthorized", ConfigError),
        ("proxy 404", PermanentError),
        ("starting", TemporaryError),
    ],
)
def test_an_answer_that_is_not_dashboards_own_is_an_error(
    stub: StubDashboards, fault: str, kind: type[AgentError]
) -> None:
    stub.fault = fault
    api = DashboardsApi(stub.url, username="ops", password="s3cret")
    with pytest.raises(kind) as met:
        install_dashboards(api, objects())
    assert "s3cret" not in str(met.value)
    with pytest.raises(kind):
        api.version()


def test_a_missing_reference_is_named(stub: StubDashboards) -> None:
    without_pattern = [item for item in objects() if item.key != ("index-pattern", "impulse-audit")]
    report = install_dashboards(DashboardsApi(stub.url), without_pattern)
    assert not report.ok
    assert "missing reference index-pattern:impulse-audit" in str(report.failed[0])


def test_nobody_listening_is_a_temporary_error() -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(TemporaryError, match="unreachable"):
        install_dashboards(DashboardsApi(url, timeout_seconds=2), objects())


@pytest.mark.parametrize("url", ["dashboards:5601", "ftp://host", "http://", "http://ops:s3cret@host:5601"])
def test_a_bad_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as met:
        DashboardsApi(url)
    assert "s3cret" not in str(met.value)


def test_a_file_that_is_not_sound_is_not_sent() -> None:
    with pytest.raises(PermanentError, match="visualization:impulse-audit-vis-held"):
        broken = FILE.replace('"id":"impulse-audit-vis-held"', '"id":"impulse-audit-vis-helt"', 1)
        prepared(broken, index_prefix="impulse-audit", agent_prefix="impulse-agent")


def test_a_new_context_field_becomes_usable_and_unmapped_shipped_ones_stay(stub: StubDashboards) -> None:
    install_dashboards(DashboardsApi(stub.url), objects(Caps()))
    listed = {field["name"]: field for field in json.loads(_pattern(stub)["fields"])}
    assert listed["context.brand_new"]["aggregatable"]
    assert listed["context.brand_new"]["esTypes"] == ["keyword"]
    assert listed["context.brand_new"]["readFromDocValues"]
    assert "context.cve_id" in listed
    assert "context" not in listed
    assert "_seq_no" not in listed


def test_refresh_writes_fields_only_and_keeps_what_a_person_changed(stub: StubDashboards) -> None:
    api = DashboardsApi(stub.url)
    install_dashboards(api, objects())
    _pattern(stub)["fieldFormatMap"] = '{"id":{"id":"string"}}'
    assert pattern_drift(api, objects(), Caps())["impulse-audit"].missing == ("context.brand_new", "heartbeat")
    report = refresh_fields(api, objects(Caps()))
    assert report.ok
    assert _pattern(stub)["fieldFormatMap"] == '{"id":{"id":"string"}}'
    assert not pattern_drift(api, objects(), Caps())["impulse-audit"]


@pytest.mark.parametrize(("fault", "installed"), [("writes are dropped", True), ("", False)])
def test_a_refresh_that_did_not_happen_is_no_success(stub: StubDashboards, fault: str, installed: bool) -> None:
    api = DashboardsApi(stub.url)
    if installed:
        install_dashboards(api, objects())
    stub.fault = fault
    assert len(refresh_fields(api, objects(Caps())).failed) == 2


def test_drift_names_what_a_person_changed(stub: StubDashboards) -> None:
    api = DashboardsApi(stub.url)
    install_dashboards(api, objects())
    stub.objects["search", "impulse-audit-search-tab"]["attributes"]["columns"] = ["action"]
    drift = dashboards_drift(api, objects())
    assert [str(failure) for failure in drift.failed] == [
        "search:impulse-audit-search-tab «Audit: newest events»: columns differs when read back"
    ]


def test_configured_prefixes_move_patterns_and_vega_but_no_ids() -> None:
    moved = {item.key: item for item in objects(index_prefix="acme-log", agent_prefix="acme-agent")}
    assert set(moved) == {item.key for item in objects()}
    assert moved["index-pattern", "impulse-audit"].attributes["title"] == "acme-log"
    assert moved["index-pattern", "impulse-agent-state"].attributes["title"] == "acme-agent-state"
    vega = "".join(item.attributes["visState"] for item in moved.values() if item.type == "visualization")
    assert "acme-agent-state" in vega
    assert "impulse-agent-state" not in vega


def _pattern(stub: StubDashboards) -> dict[str, str]:
    return stub.objects["index-pattern", "impulse-audit"]["attributes"]


def test_user_and_password_of_any_language_arrive_as_they_are(stub: StubDashboards) -> None:
    DashboardsApi(stub.url, username="ü", password="pä€:w", tenant="ops").version()
    *_, (_, _, headers) = stub.requests
    assert headers["authorization"] == "Basic " + b64encode("ü:pä€:w".encode()).decode()
    assert headers["securitytenant"] == "ops"


@pytest.mark.parametrize("tenant", ["a\r\nX-Injected: yes", "€", "a\0b"])
def test_a_tenant_that_ends_its_header_is_refused(tenant: str) -> None:
    with pytest.raises(ConfigError, match="tenant"):
        DashboardsApi("https://127.0.0.1:5601", tenant=tenant)
