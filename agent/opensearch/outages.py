"""What it means when no answer came at all: which part of the way is broken, and what a person can do about it.

A certificate the agent does not trust may be a rotation under way, so even that is temporary.
"""

from __future__ import annotations

import http.client
import ssl

from agent.errors import TemporaryError
from agent.opensearch.answers import printable
from agent.opensearch.connection import TooLongAnswer, causes
from agent.opensearch.driver import ConnectionTimeout, NodeError, SSLError

_SMALLER = "ask for fewer rows at once; `export` takes any number"


def outage(failure: NodeError, *, where: str, hosts: str) -> TemporaryError:
    """Return the project's error for a request without an answer."""
    if isinstance(failure, ConnectionTimeout):
        got = f"{hosts} gave no answer in time; whether the request was carried out is unknown"
        return TemporaryError("OpenSearch did not answer", where=where, got=got, kind="timeout")
    chain = causes(failure.args[2])
    cause = _root_cause(chain)
    if isinstance(failure, SSLError):
        got = f"{hosts}: {cause}"
        return TemporaryError("TLS to OpenSearch failed", where=where, got=got, remedy=_tls_remedy(cause), kind="tls")
    if any(isinstance(error, TooLongAnswer) for error in chain):
        return TemporaryError("the answer is too large", where=where, got=cause, remedy=_SMALLER, kind="large_answer")
    remedy = "check that it runs and that opensearch.hosts names its address"
    if "without response" in cause:
        remedy = "if the port speaks TLS, write https:// in opensearch.hosts"
    return TemporaryError(
        "OpenSearch is unreachable", where=where, got=f"{hosts}: {cause}", remedy=remedy, kind="unreachable"
    )


def _root_cause(chain: list[BaseException]) -> str:
    for error in reversed(chain):
        if isinstance(error, ssl.SSLCertVerificationError):
            return printable(error.verify_message)
    for error in reversed(chain):
        if isinstance(error, ssl.SSLError) and error.reason:
            return printable(error.reason)
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
            return "the port does not speak HTTP"
        if isinstance(error, OSError) and error.strerror:
            return printable(error.strerror)
    # The text of urllib3's own errors starts with the address of a Python object.
    return printable(str(chain[-1]).rpartition(">: ")[2] if chain else "no reason given")


def _tls_remedy(cause: str) -> str:
    text = cause.lower()
    if "expired" in text or "not yet valid" in text:
        return "renew the server's certificate, or correct the clock"
    if "mismatch" in text or "not valid for" in text:
        return "use the host name that is in the certificate in opensearch.hosts"
    if "wrong_version" in text or "record_layer" in text or "http_request" in text:
        return "the port does not speak TLS: write http:// in opensearch.hosts, or use the TLS port"
    if "issuer" in text or "self-signed" in text or "self signed" in text:
        return "name the authority that signed the server's certificate in opensearch.ca_file"
    return "check opensearch.ca_file, client_cert and the server's certificate"
