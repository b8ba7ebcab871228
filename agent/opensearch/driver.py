"""opensearch-py, as much of it as the agent uses: the pool of nodes, the connection to one, and their errors.

The package loads requests, for connections that are never made here: a tenth of the time in which a short verb starts.
So it gets an empty stand-in while it loads; nobody else does, and `requests` is the real one again afterwards.
"""

from __future__ import annotations

import sys
from types import ModuleType

_STAND_IN = ModuleType("requests")
_STAND_IN.__dict__["auth"] = ModuleType("requests.auth")
_STAND_IN.__dict__["auth"].AuthBase = object

# Where somebody has loaded it already there is nothing to save.
_IS_SPARED = sys.modules.setdefault("requests", _STAND_IN) is _STAND_IN
try:
    from opensearchpy.connection.http_urllib3 import Urllib3HttpConnection
    from opensearchpy.exceptions import (
        HTTP_EXCEPTIONS,
        ConnectionTimeout,
        SerializationError,
        SSLError,
        TransportError,
    )
    from opensearchpy.exceptions import ConnectionError as NodeError
    from opensearchpy.helpers.signer import Urllib3AWSV4SignerAuth
    from opensearchpy.serializer import JSONSerializer
    from opensearchpy.transport import Transport
finally:
    if _IS_SPARED:
        del sys.modules["requests"]

__all__ = [
    "HTTP_EXCEPTIONS",
    "ConnectionTimeout",
    "JSONSerializer",
    "NodeError",
    "SSLError",
    "SerializationError",
    "Transport",
    "TransportError",
    "Urllib3AWSV4SignerAuth",
    "Urllib3HttpConnection",
]
