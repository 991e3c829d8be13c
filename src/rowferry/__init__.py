"""Rowferry's core: CSV files into MySQL, every row accounted for.

No FastAPI and no Lambda in here. boto3 only in `storage/s3.py`, `setup/credentials.py` and `steps/executions.py`;
PyMySQL only in `storage/mysql.py`. tests/unit/test_borders.py holds which package may import which.
"""

__version__ = "0.1.0"
