"""A server that asks for the password in clear text, as whoever stands between can: it does not get it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.errors import ConfigError
from agent.mysql import open_database
from tests.integration.mysql_source import Tls, source

SECRET = "planted-Secret-7"
# The old protocol with what a plugin needs: PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
_CAPABILITIES = 0x00088200
_UTF8MB4 = 45


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting() -> bytes:
    low, high = _CAPABILITIES & 0xFFFF, _CAPABILITIES >> 16
    return (
        b"\x0a8.0.0\0" + bytes(4) + b"12345678\0" + low.to_bytes(2, "little") + bytes([_UTF8MB4]) + bytes(2)
        + high.to_bytes(2, "little") + bytes([21]) + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
    )  # fmt: skip


@contextmanager
def asking_for_it(plugin: bytes) -> Iterator[tuple[int, bytearray]]:
    """Answer each login with a switch to another plugin; keep all that clients send."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        client.settimeout(5)
                        client.sendall(packet(0, greeting()))
                        heard.extend(client.recv(65536))
                        client.sendall(packet(2, b"\xfe" + plugin + b"\0" + b"\x05Password: "))
                        heard.extend(client.recv(65536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog"])
@pytest.mark.parametrize("tls", [None, Tls(enabled=False)], ids=["TLS if offered", "no TLS"])
def test_a_server_that_was_not_checked_gets_no_password_in_clear_text(plugin: bytes, tls: Tls | None) -> None:
    with asking_for_it(plugin) as (port, heard):
        opened = open_database(source(f"mysql+pymysql://u:{SECRET}@127.0.0.1:{port}/d", tls=tls))
        with pytest.raises(ConfigError, match="clear text") as failure, opened.connection():
            pass
    assert b"u\0" in heard, "it did log in"
    assert SECRET.encode() not in heard
    assert "source.tls" in failure.value.remedy
    assert SECRET not in str(failure.value)
