"""Searching: what stands behind `search`, `actions`, `top` and `export`.

    options ─▶ filters ─▶ query ─▶ one search ─▶ rows, total, histogram      (view)
               ranges      ▲       composite  ─▶ count, first and last seen   (groups)
               conditions ─┤       point in time ─▶ CSV or NDJSON, any size   (export)
                           │       again and again ─▶ only what is new        (follow)
               fields: the live mapping says which context fields there are

Everything but the three readers (view, groups, export/follow through `reader`) is pure. Nothing here prints, and the
table of the audit log is never read: how far the index is behind it is stated beside every answer (`freshness`).
"""
