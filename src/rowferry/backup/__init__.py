"""Backups and restores: a consistent snapshot into an Avro file with a manifest, and back in one transaction.

May import: errors, config, storage, declare, ledger.
Never knows: files that are uploaded, records, runs' steps.
"""
