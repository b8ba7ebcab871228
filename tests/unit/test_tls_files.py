"""Files for TLS that are of no use: told at once by both sides, and no terminal is asked for a passphrase."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config.connections import OpenSearchSettings
from agent.errors import ConfigError
from agent.mysql import open_database
from agent.opensearch.client import open_cluster
from tests.integration.certificates import Authority
from tests.integration.mysql_source import Tls, source

SIDES = ["source.tls", "opensearch"]


def opened(side: str, **files: Path) -> None:
    if side == "opensearch":
        open_cluster(OpenSearchSettings(hosts=("https://127.0.0.1:1",), **files))  # type: ignore[arg-type]
        return
    with open_database(source("mysql://u@127.0.0.1:1/d", tls=Tls(**files))).connection():
        pass


def refusal(side: str, **files: Path) -> str:
    with pytest.raises(ConfigError) as failure:
        opened(side, **files)
    assert failure.value.where == side
    assert "passphrase" in failure.value.remedy
    return failure.value.got


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x30\x82\x00\x00"])
def test_an_authority_that_is_none_is_named(tmp_path: Path, side: str, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    assert str(file) in refusal(side, ca_file=file)


@pytest.mark.parametrize("side", SIDES)
def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path, side: str) -> None:
    certificate, key = Authority(tmp_path).issue("client")
    encryption = serialization.BestAvailableEncryption(b"planted-Secret-7")
    pem = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(pem, ec.EllipticCurvePrivateKey)
    key.write_bytes(pem.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    assert str(key) in refusal(side, client_cert=certificate, client_key=key)

    # On a terminal it is told the same, without a word to whoever sits there.
    script = (
        "from pathlib import Path; from tests.unit.test_tls_files import refusal; "
        f"print(refusal({side!r}, client_cert=Path({str(certificate)!r}), client_key=Path({str(key)!r})))"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", script])
    said = b""
    try:
        while chunk := os.read(terminal, 4096):
            said += chunk
            assert b"pass phrase" not in said
    except OSError:
        pass  # the child has gone, and its terminal with it
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    assert str(key) in said.decode().replace("\r\n", "")
