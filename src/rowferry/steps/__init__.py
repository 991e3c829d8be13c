"""The state machine's steps, a module for each, and the parts that they share.

Reconcile also uses parents, violations and compare; Load also uses merge. work_files has the names and forms of a
run's objects in S3.

May import: errors, config, csvfile, declare, ledger, storage, validate.
Never knows: Lambda events, HTTP routes.
"""
