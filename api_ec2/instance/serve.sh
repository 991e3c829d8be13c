#!/usr/bin/env bash
# The API under uvicorn, as rowferry-api.service starts it. Its secrets are read at each start and are in no file.
set -euo pipefail

secret() { # NAME STAGE
  aws secretsmanager get-secret-value --secret-id "$1" --version-stage "$2" --query SecretString --output text |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["password"])'
}

DB_PASSWORD=$(secret "$APP_SECRET" AWSCURRENT)
API_OPERATOR_TOKEN=$(secret "$OPERATOR_TOKEN_SECRET" AWSCURRENT)
API_VALIDATOR_TOKEN=$(secret "$VALIDATOR_TOKEN_SECRET" AWSCURRENT)
# While functions and people still send the former tokens, these are valid too. Before the first rotation there are none.
API_OPERATOR_TOKEN_PREVIOUS=$(secret "$OPERATOR_TOKEN_SECRET" AWSPREVIOUS 2>/dev/null) || API_OPERATOR_TOKEN_PREVIOUS=""
API_VALIDATOR_TOKEN_PREVIOUS=$(secret "$VALIDATOR_TOKEN_SECRET" AWSPREVIOUS 2>/dev/null) || API_VALIDATOR_TOKEN_PREVIOUS=""
export DB_PASSWORD API_OPERATOR_TOKEN API_OPERATOR_TOKEN_PREVIOUS API_VALIDATOR_TOKEN API_VALIDATOR_TOKEN_PREVIOUS
export PYTHONPATH=/opt/rowferry/python PYTHONDONTWRITEBYTECODE=1
exec "$PYTHON" -m uvicorn --factory api_ec2.main:from_env --host "$API_HOST" --port "$API_PORT" --workers 2 --no-access-log --no-server-header --no-proxy-headers
