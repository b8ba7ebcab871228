"""TLS arguments for the driver: certificate and host name are verified unless configuration says otherwise."""

from __future__ import annotations

import ssl
from typing import Any, Never

from pymysql.connections import Connection as DriverConnection
from pymysql.constants import CR
from pymysql.err import OperationalError

from agent.errors import ConfigError
from agent.mysql.source import TlsSettings


class Unconfigured(DriverConnection):
    """The driver's connection where TLS is neither asked for nor forbidden: encrypted if the server offers it.

    Nothing is verified then, yet the driver reads every authority this machine trusts for each connection: 20 ms and a
    megabyte that serve nobody.
    """

    def _create_ssl_ctx(self, sslp: dict[str, Any] | ssl.SSLContext) -> ssl.SSLContext:
        if sslp:
            context: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]  # the driver's stubs lack it
            return context
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        return unverified


class ClearPassword:
    """Refuse what the driver does for any server that asks: send the password as it is.

    Only a server whose certificate was checked may see it; whoever is in between could ask for it too.
    """

    def __init__(self, connection: DriverConnection[Any]) -> None:
        del connection

    def authenticate(self, packet: object) -> Never:
        """Raise OperationalError."""
        del packet
        raise OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "the server asks for the password in clear text")


def tls_arguments(settings: TlsSettings | None, driver: str) -> dict[str, Any]:
    """Return connect arguments. Without settings the driver's own preference holds: TLS if the server offers it."""
    if driver != "pymysql":
        return _mysqlclient_arguments(settings) if settings else {}
    guarded: dict[str, Any] = {"auth_plugin_map": {b"mysql_clear_password": ClearPassword, b"dialog": ClearPassword}}
    if settings is None:
        return guarded
    if not settings.enabled:
        return {"ssl_disabled": True, **guarded}
    return {"ssl": _context(settings), **({} if settings.verify else guarded)}


def _context(settings: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        if settings.client_cert:
            key = str(settings.client_key) if settings.client_key else None
            # Without a password OpenSSL asks the terminal for one, and waits.
            context.load_cert_chain(str(settings.client_cert), key, password="")
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(file) for file in (settings.ca_file, settings.client_cert, settings.client_key) if file)
        remedy = "check that the files exist, can be read by the agent and are PEM; the key without a passphrase"
        got = f"{files}: {error.strerror or error}"
        raise ConfigError("TLS files cannot be read", where="source.tls", got=got, remedy=remedy) from error
    # servers make their own certificate authorities, whose certificates often lack the extensions the strict mode
    # of newer Python versions asks for; signature, validity and host name are still checked
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _mysqlclient_arguments(settings: TlsSettings) -> dict[str, Any]:
    if not settings.enabled:
        return {"ssl_mode": "DISABLED"}
    files = {"ca": settings.ca_file, "cert": settings.client_cert, "key": settings.client_key}
    return {
        "ssl_mode": "VERIFY_IDENTITY" if settings.verify else "REQUIRED",
        "ssl": {name: str(file) for name, file in files.items() if file},
    }
