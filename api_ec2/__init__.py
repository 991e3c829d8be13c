"""The HTTP API: validation of chunks, metrics, runs. FastAPI on EC2; the same app runs on Lambda through Mangum."""
