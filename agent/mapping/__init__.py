"""Row → document, as pure functions and values: no I/O, no clock.

    row ─▶ document.py ── fits the catalogue? ──▶ bytes
                │ no: draft.py
                ├─ context.py      text → object, nothing, or no JSON
                ├─ dropped.py      what a person wants left out
                ├─ redaction.py    secrets out (secret_keys, detectors, pairs, gate)
                ├─ walk.py         path by path: catalogue.py widens, or overflow.py takes it
                └─ ladder.py       what is tried after the server refused

`partition.py` says which index a row belongs to.
"""

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import CRC_VERSION, Document, DocumentBuilder
from agent.mapping.fields import Field
from agent.mapping.ladder import Rung, next_rung
from agent.mapping.partition import UNDATED, Calendar, Period, bounds, partition_of
from agent.mapping.redaction import Redaction
from agent.mapping.rules import FieldRules, NativeType

__all__ = [
    "CRC_VERSION",
    "UNDATED",
    "Calendar",
    "Catalogue",
    "Document",
    "DocumentBuilder",
    "Field",
    "FieldRules",
    "NativeType",
    "Period",
    "Redaction",
    "Rung",
    "bounds",
    "next_rung",
    "partition_of",
]
