"""The manifests: valid by the schema, hardened, and consistent with what the agent does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agent.config.loading import load_retention
from agent.config.settings_file import load

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
SECRET_FILES = "/run/secrets/audit-agent/"


def manifests() -> list[dict]:
    return [manifest for file in FILES for manifest in yaml.safe_load_all(file.read_text())]


def the(kind: str) -> dict:
    return next(manifest for manifest in manifests() if manifest["kind"] == kind)


def pods() -> list[dict]:
    return [manifest["spec"]["template"]["spec"] for manifest in manifests() if manifest["kind"] != "ConfigMap"]


def test_the_files_are_the_two_that_are_documented():
    assert [file.name for file in FILES] == ["backfill-job.yaml", "deployment.yaml"]


def test_every_manifest_is_valid_by_the_schema():
    validate = pytest.importorskip("kubernetes_validate", reason="PyPI package kubernetes-validate is not installed")
    for manifest in manifests():
        validate.validate(manifest, "1.31", strict=True)


@pytest.mark.parametrize("pod", pods(), ids=["backfill", "deployment"])
def test_pods_run_unprivileged_bounded_and_without_a_token(pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert re.fullmatch(r"audit-agent:\d+\.\d+\.\d+", container["image"])


@pytest.mark.parametrize("pod", pods(), ids=["backfill", "deployment"])
def test_what_is_mounted_is_a_volume_and_secrets_come_as_files(pod):
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert all("subPath" not in mount for mount in container["volumeMounts"])
    assert "secretKeyRef" not in str(container)


def test_only_one_agent_runs_and_the_old_one_goes_first():
    """A second would stand by, never be ready, and hold up every rollout."""
    assert the("Deployment")["spec"]["replicas"] == 1
    assert the("Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_liveness_asks_for_life_and_readiness_for_shipping():
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_labels_select_the_pods():
    spec = the("Deployment")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_backfill_pods_are_not_selected_by_the_deployment():
    selector = the("Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= the("Job")["spec"]["template"]["metadata"]["labels"].items()


def test_the_job_runs_every_slice_once_with_its_own_number():
    spec = the("Job")["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"] == ["backfill", "--slice", f"$(JOB_COMPLETION_INDEX)/{spec['completions']}"]
    assert [variable["name"] for variable in container["env"]] == ["JOB_COMPLETION_INDEX"]
    assert spec["parallelism"] < spec["completions"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_configuration_is_one_the_agent_accepts_and_agrees_with_the_mounts(tmp_path):
    for name, text in the("ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    settings = load(tmp_path / "agent.yml", {})
    assert load_retention(tmp_path / "retention.yml").mode == "preview"
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    assert settings.http.listen == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for path in (settings.source.password_file, settings.opensearch.password_file, settings.opensearch.ca_file):
        assert any(str(path).startswith(f"{mount}/") for mount in mounts), path
    assert str(settings.source.password_file).startswith(SECRET_FILES)
    assert settings.source.url.password is None
