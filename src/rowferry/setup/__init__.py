"""What a deploy does once: users, rights and tables in MySQL, the credentials for it.

May import: errors, config, storage, declare, ledger.
Never knows: files, runs, backups.
"""
