"""Bytes into records: encoding, dialect and header, records with their lines, chunks and batches.

May import: errors, declare.
Never knows: S3, MySQL, runs.
"""
