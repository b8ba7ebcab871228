"""Ship the ImpulseCore audit log into OpenSearch.

    table ──mysql──▶ rows ──mapping──▶ documents ──opensearch──▶ partitions
      ▲                │ gaps, evidence                │ dead letters
      │                ▼                               ▼
    retention ◀── checkpoint (watermark, frontier, open gaps) ──▶ status, metrics

Rows become visible out of id order; `tailing` proves that none is missed. The checkpoint is written last, so a
crash anywhere only repeats work, and every document's id is a function of its row, so repeating doubles nothing.
"""

__version__ = "1.0.0"
