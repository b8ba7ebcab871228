"""Rows become documents in the index: the one way there, for the tail, backfill, repair and replay alike."""
