"""The two doors to the outside: MySQL (the only import of PyMySQL) and S3 (boto3).

May import: errors, config.
Never knows: tables, files, runs.
"""
