"""Rowferry's core: CSV files into MySQL, every row accounted for.

No FastAPI and no Lambda in here; boto3 only in `s3.py`, PyMySQL only in `db.py`.
"""

__version__ = "0.1.0"
