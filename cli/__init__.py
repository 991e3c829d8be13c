"""The command line `rowferry`: the same commands for the stack on this machine and for a stack on AWS.

One module per topic. `stack.py` finds a stack and is the only module that makes AWS clients; `history.py` says what
the commands ask of a stack, `api_history.py` and `bucket_history.py` answer it. Nothing imports this package.
"""
