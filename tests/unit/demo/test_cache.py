"""The cache holds finished things only, whoever is killed or runs beside us while one is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from demo.cache import RunFolder, cache_folder, cached

BUILDER = """
import sys
from demo.cache import cached
def build(folder):
    open(sys.argv[1], "a").write("built\\n")
    for number in range(300):
        (folder / f"part-{number}").write_text("x")
    (folder / "last").write_text("done")
path = cached("thing", build)
assert (path / "last").read_text() == "done"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEMO_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def test_a_thing_is_built_once(folder: Path) -> None:
    built: list[Path] = []
    assert cached("thing", built.append) == cached("thing", built.append) == folder / "thing"
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing_and_can_be_repeated(folder: Path) -> None:
    def broken(aside: Path) -> None:
        (aside / "half").write_text("x")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        cached("thing", broken)
    assert not (folder / "thing").exists()
    assert not (cached("thing", lambda _: None) / "half").exists()


def test_first_runs_side_by_side_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    crowd = [subprocess.Popen([sys.executable, "-c", BUILDER, str(log)]) for _ in range(4)]
    assert [process.wait(60) for process in crowd] == [0, 0, 0, 0]
    assert log.read_text() == "built\n"


def test_the_folder_of_a_killed_run_is_swept_and_that_of_a_living_run_is_not(folder: Path) -> None:
    code = "import os; from demo.cache import RunFolder; print(RunFolder('dead').path, flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    dead = Path(killed.stdout.strip())
    assert dead.is_dir()
    living = RunFolder("living")
    other = RunFolder("other")
    assert not dead.exists()
    assert living.path.is_dir()
    living.remove()
    living.remove()
    other.remove()
    assert [path.name for path in (folder / "runs").iterdir()] == ["lock"]
