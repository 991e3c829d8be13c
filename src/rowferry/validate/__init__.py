"""The verdict on a chunk: accepted rows in normal form, rejects with their words; the client of the validator API.

May import: errors, declare, csvfile.
Never knows: S3, MySQL, runs.
"""
