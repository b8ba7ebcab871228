"""Retention on both sides: what expires and why (pure), and the run that deletes it, archived and journaled.

rules + database clock ─▶ policy ─▶ plan ─▶ brakes ─▶ run: confirm ▸ archive ▸ DELETE ▸ documents ▸ proof ▸ journal
"""
