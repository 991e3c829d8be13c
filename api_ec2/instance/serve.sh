#!/usr/bin/env bash
# The API under uvicorn, as rowferry-api.service starts it. Its secrets are read at each start and are in no file.
set -euo pipefail

secret() { # NAME STAGE
  aws secretsmanager get-secret-value --secret-id "$1" --version-stage "$2" --query SecretString --output text |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["password"])'
}

DB_PASSWORD=$(secret "$APP_SECRET" AWSCURRENT)
API_TOKEN=$(secret "$TOKEN_SECRET" AWSCURRENT)
# While functions still send the token before it, both are good; there is none before the first rotation.
API_TOKEN_PREVIOUS=$(secret "$TOKEN_SECRET" AWSPREVIOUS 2>/dev/null) || API_TOKEN_PREVIOUS=""
export DB_PASSWORD API_TOKEN API_TOKEN_PREVIOUS PYTHONPATH=/opt/rowferry/python PYTHONDONTWRITEBYTECODE=1
exec "$PYTHON" -m uvicorn --factory api_ec2.main:from_env --host "$API_HOST" --port "$API_PORT" --workers 2 --no-access-log --no-server-header --no-proxy-headers
