"""The wheel alone is enough: built, installed into an empty environment, run where there is no checkout."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from tests.world import World

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DISTRIBUTION = "impulse-audit-agent"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def copied() -> list[str]:
    """Return what the image is built from: nothing else may be needed to build the wheel."""
    build_stage = DOCKERFILE.partition("\nFROM ")[2].partition("\nFROM ")[0]
    return [name for line in re.findall(r"^COPY (.*)$", build_stage, re.MULTILINE) for name in line.split()[:-1]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as the image does, from a copy, so that nothing is left behind in the checkout."""
    tree = tmp_path_factory.mktemp("tree")
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*build, "--wheel-dir", "dist", "."], cwd=tree, capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode and "No matching distribution found for setuptools" in done.stderr:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the build backend cannot be had: {done.stderr}")
        pytest.skip("the build backend cannot be had: no package index is reachable")
    assert done.returncode == 0, done.stderr
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel in it; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("clean") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    # A path in a .pth file is not searched for .pth files itself, so an editable install of the agent stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(environment: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AUDIT_", "PYTHON", "VIRTUAL_"))}
    command: Sequence[str] = [str(environment / "bin" / "audit-agent"), *arguments]
    return subprocess.run(command, check=False, cwd=folder, env=clean, capture_output=True, text=True, timeout=120)


def test_the_wheel_holds_every_module_and_everything_that_is_installed_elsewhere(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "agent").rglob("*.py")}
    shipped = {
        f"agent/_data/{file.relative_to(ROOT)}"
        for pattern in ("index_templates/**/*.json", "dashboards/*.ndjson", "alerts/*.yml", "config/*.yml")
        for file in ROOT.glob(pattern)
    }
    assert shipped
    assert modules | shipped <= held
    assert not [name for name in held if name.startswith(("tests/", "demo/", "benchmarks/", "docs/"))]


def test_whatever_the_package_imports_it_declares() -> None:
    """The environment below borrows what is installed here, which would hide a forgotten dependency."""
    imported = {
        name.partition(".")[0]
        for file in (ROOT / "agent").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    distributions = metadata.packages_distributions()
    foreign = {name for name in imported if name not in sys.stdlib_module_names and name != "agent"}
    assert {distributions[name][0].lower().replace("_", "-") for name in foreign} - brought_by(DISTRIBUTION) == set()


def brought_by(distribution: str) -> set[str]:
    """Return what is installed with a distribution: all it requires, and what that requires in turn."""
    found: set[str] = set()
    ahead = {distribution, "boto3"}  # boto3: extra `aws`
    while ahead:
        found |= ahead
        required = {one for name in ahead for one in metadata.requires(name) or [] if "extra ==" not in one}
        ahead = {re.split(r"[ !~><=;\[(]", one)[0].lower().replace("_", "-") for one in required} - found
        ahead = {name for name in ahead if _is_installed(name)}
    return found


def _is_installed(name: str) -> bool:
    return bool(list(metadata.distributions(name=name)))


def test_what_runs_is_the_wheel_and_not_the_checkout(environment: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [environment / "bin" / "python", "-P", "-c", "import agent; print(agent.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(environment)
    told = run(environment, tmp_path, "--help")
    assert told.returncode == 0
    assert "Ship the ImpulseCore audit log" in told.stdout
    nowhere = run(environment, tmp_path, "status")
    assert nowhere.returncode == 2
    assert "AUDIT_AGENT_CONFIG" in nowhere.stderr


def test_it_sets_up_ships_and_searches(environment: Path, world: World) -> None:
    world.database.fill(40, days=20)
    config = ("-c", str(world.config))

    for verb in (("setup", "--json"), ("sync", "--json"), ("search", "--limit", "5", "--json"), ("alerts", "show")):
        done = run(environment, world.folder, *config, *verb)
        assert done.returncode == 0, (verb, done.stdout, done.stderr)

    assert world.count() == 40
    templates = world.request("GET", f"/_index_template/{world.index_prefix}")["index_templates"]
    assert [template["name"] for template in templates] == [world.index_prefix]


def test_this_environments_own_install_finds_its_templates_too(world: World) -> None:
    """An editable install has no `_data`: it reads the checkout's folders."""
    assert world.run("setup").code == 0
