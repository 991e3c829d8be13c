#!/usr/bin/env bash
# The API under uvicorn, as rowferry-api.service starts it. Its secrets are read at each start and are in no file.
set -euo pipefail

secret() { # ARN
  aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["password"])'
}

# The tokens of the same role in secrets of other credentials versions, with a space behind each. A secret's name is
# STACK/ID/ROLE/VERSION. The former secret exists until a deploy has ended well.
other_tokens() { # ARN
  local name=${1#*:secret:} arn
  for arn in $(aws secretsmanager list-secrets --filters "Key=name,Values=${name%/*}/" --query 'SecretList[].ARN' --output text); do
    if [ "$arn" != "$1" ]; then printf '%s ' "$(secret "$arn")"; fi
  done
}

DB_PASSWORD=$(secret "$APP_SECRET")
API_OPERATOR_TOKEN=$(secret "$OPERATOR_TOKEN_SECRET")
API_VALIDATOR_TOKEN=$(secret "$VALIDATOR_TOKEN_SECRET")
# During a deploy, functions and people still send the former tokens, so these are valid too. Where they can't be read,
# the API starts without them; the reason is in its log.
API_OPERATOR_TOKEN_PREVIOUS=$(other_tokens "$OPERATOR_TOKEN_SECRET") || API_OPERATOR_TOKEN_PREVIOUS=""
API_VALIDATOR_TOKEN_PREVIOUS=$(other_tokens "$VALIDATOR_TOKEN_SECRET") || API_VALIDATOR_TOKEN_PREVIOUS=""
export DB_PASSWORD API_OPERATOR_TOKEN API_OPERATOR_TOKEN_PREVIOUS API_VALIDATOR_TOKEN API_VALIDATOR_TOKEN_PREVIOUS
export PYTHONPATH=/opt/rowferry/python PYTHONDONTWRITEBYTECODE=1
exec "$PYTHON" -m uvicorn --factory api_ec2.main:from_env --host "$API_HOST" --port "$API_PORT" --workers 2 --no-access-log --no-server-header --no-proxy-headers
