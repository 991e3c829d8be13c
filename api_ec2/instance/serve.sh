#!/usr/bin/env bash
# The API under uvicorn, as rowferry-api.service starts it. Its secrets are read at each start and are in no file.
set -euo pipefail

secret() {
  aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["password"])'
}

DB_PASSWORD=$(secret "$APP_SECRET")
API_TOKEN=$(secret "$TOKEN_SECRET")
export DB_PASSWORD API_TOKEN PYTHONPATH=/opt/rowferry/python PYTHONDONTWRITEBYTECODE=1
exec "$PYTHON" -m uvicorn api_ec2.main:app --host "$API_HOST" --port "$API_PORT" --workers 2 --no-access-log
