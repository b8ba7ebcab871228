"""The compose file: whole, loopback only, pinned, and without a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agent import __version__
from agent.config.settings_file import load

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose.yml"


@pytest.fixture
def compose():
    return yaml.safe_load(COMPOSE.read_text())


def test_table_cluster_dashboards_and_agent_are_there(compose):
    assert set(compose["services"]) == {"mariadb", "opensearch", "dashboards", "agent"}


def test_every_image_is_pinned_to_a_full_version(compose):
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", service["image"]), name


def test_the_agents_image_is_tagged_with_the_version_it_holds():
    """In compose and in the Kubernetes manifests alike."""
    for file in [COMPOSE, *(ROOT / "deploy" / "kubernetes").glob("*.yaml")]:
        assert set(re.findall(r"image: audit-agent:(\S+)", file.read_text())) == {__version__}, file.name


def test_cluster_and_dashboards_are_of_one_version(compose):
    versions = {compose["services"][name]["image"].partition(":")[2] for name in ("opensearch", "dashboards")}
    assert len(versions) == 1


def test_no_port_leaves_the_machine(compose):
    for name, service in compose["services"].items():
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), name


def test_no_password_is_written_down(compose):
    for service in compose["services"].values():
        for key, value in service["environment"].items():
            if "PASSWORD" in key and not key.endswith("_FILE"):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), key


def test_the_agent_is_unprivileged_bounded_and_may_drain(compose):
    agent = compose["services"]["agent"]
    assert agent["read_only"] is True
    assert agent["cap_drop"] == ["ALL"]
    assert agent["security_opt"] == ["no-new-privileges:true"]
    assert agent["mem_limit"] == "256m"
    assert agent["stop_grace_period"] == "90s"


def test_what_is_named_is_declared(compose):
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert {entry["source"] for entry in service.get("configs", [])} <= set(compose["configs"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        named = {entry.partition(":")[0] for entry in service.get("volumes", [])}
        assert named <= set(compose["volumes"])
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in services[other], (name, other)


def test_the_image_built_is_the_dockerfile_beside_it(compose):
    build = compose["services"]["agent"]["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).is_file()


def test_the_images_configuration_accepts_the_environment_given_here(compose):
    environment = {
        key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for key, value in compose["services"]["agent"]["environment"].items()
    }
    settings = load(ROOT / "config" / "agent.yml", environment)
    assert settings.http.listen == "0.0.0.0:9465"
    assert settings.opensearch.hosts == ("http://opensearch:9200",)
    assert settings.opensearch.replicas == 0
    assert str(settings.source.password_file) == "/run/secrets/mysql_password"
