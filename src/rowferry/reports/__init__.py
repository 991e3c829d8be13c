"""What people ask of the loaded data and of runs: the two metrics, a run in words, its rejects page by page.

May import: errors, declare, ledger, storage.
Never knows: how a page looks, Lambda, HTTP.
"""
