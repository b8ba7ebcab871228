"""Proof that table and index agree, and the ways to make them agree.

    windows of ids ──▶ COUNT, SUM(crc) on both sides ──differ──▶ ids ──▶ read afresh ──▶ explained, or drift
                                                                                           │ --repair
    rows ◀── shipped again ◀───────────────────────────────────────────────────────────────┘

verify, findings, judging   windows compared, suspects read afresh, drift named
deep, leaves                each document derived again and compared value by value
stored                      the index's side: documents as they lie there, whatever index they are in
knowledge                   why a difference is none: dead letters, expiry, purges, watched gaps
backfill                    rows shipped again by range or slice, without checkpoint or lease
explanation                 one row: where it is, and why
rebuild                     a partition's documents under today's mapping
scan                        secrets that slipped through

Only ids at or below the watermark are compared (above it, only documents without a row are looked for), and nothing is
called drift that was not seen twice.
"""
