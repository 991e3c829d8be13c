"""What people ask of the loaded data: the two metrics.

May import: errors, storage.
Never knows: files, runs, backups.
"""
