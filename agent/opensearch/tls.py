"""The TLS context for the cluster: certificate and host name are verified unless configuration says otherwise."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import certifi

from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.config.connections import OpenSearchSettings


def tls_context(settings: OpenSearchSettings) -> ssl.SSLContext:
    """Return a context that trusts `ca_file`, or the machine's authorities. Raises ConfigError for unusable files."""
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
        raise ConfigError("TLS files cannot be read", where="opensearch", got=got, remedy=remedy) from error
    if not settings.ca_file and not context.cert_store_stats()["x509_ca"]:
        # A slim container image brings no authorities of its own.
        context.load_verify_locations(certifi.where())
    # Clusters make their own authorities, whose certificates often lack extensions that newer Python versions ask
    # for in strict mode; signature, validity and host name are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
