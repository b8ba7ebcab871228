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
