#!/usr/bin/env bash
# Makes a fresh Amazon Linux 2023 instance the API's: its Python, its standing address, its units; and tells
# CloudFormation of success only once the API answers and its database has the tables.
# The user data of the template's ApiLaunchTemplate wrote /etc/rowferry/instance.env and unpacked the code.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
set -o allexport
# shellcheck source=/dev/null
source /etc/rowferry/instance.env
set +o allexport

say() { printf '%(%FT%TZ)T boot: %s\n' -1 "$*"; }
step() { doing=$1 && say "$1"; }

# Whatever ends this script before its end: a deploy is told to roll back, and the group replaces the instance.
give_up() {
  trap - EXIT
  say "failed: $1"
  /opt/aws/bin/cfn-signal --exit-code 1 --reason "boot: $1" --stack "$STACK" --resource ApiGroup --region "$AWS_DEFAULT_REGION" || true
  aws autoscaling set-instance-health --instance-id "$INSTANCE" --health-status Unhealthy --no-should-respect-grace-period || true
  exit 1
}
trap 'give_up "$doing"' EXIT
doing="where this instance is"

metadata() {
  local service=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254} token
  token=$(curl --fail --silent --retry 5 --request PUT --header "X-aws-ec2-metadata-token-ttl-seconds: 60" "$service/latest/api/token")
  curl --fail --silent --retry 5 --header "X-aws-ec2-metadata-token: $token" "$service/latest/meta-data/$1"
}

# The interface outlives instances; the one before this holds it until it has ended.
take_address() {
  local holder
  for _ in {1..60}; do
    holder=$(aws ec2 describe-network-interfaces --network-interface-ids "$INTERFACE" \
      --query 'NetworkInterfaces[0].Attachment.InstanceId' --output text)
    if [ "$holder" = "$INSTANCE" ]; then return; fi
    if [ "$holder" = None ] && aws ec2 attach-network-interface --network-interface-id "$INTERFACE" \
      --instance-id "$INSTANCE" --device-index 1; then return; fi
    sleep "$PATIENCE"
  done
  give_up "$INTERFACE is still held by $holder"
}

wait_for() {
  for _ in {1..60}; do
    if curl --fail --silent --max-time 5 --output /dev/null "http://127.0.0.1:$API_PORT$1"; then return; fi
    sleep "$PATIENCE"
  done
  give_up "http://127.0.0.1:$API_PORT$1 does not answer well"
}

INSTANCE=unknown
PATIENCE=${PATIENCE:-5} # seconds between tries
INSTANCE=$(metadata instance-id)
echo "INSTANCE=$INSTANCE" >>/etc/rowferry/instance.env

step "packages"
dnf install --assumeyes --quiet "$PYTHON" amazon-cloudwatch-agent logrotate

step "the code can be imported"
PYTHONPATH=/opt/rowferry/python "$PYTHON" -c 'import api_ec2.main, uvicorn'

step "logs"
mkdir -p /var/log/rowferry
sed "s|@LOG_GROUP@|$LOG_GROUP|" "$here/cloudwatch-agent.json" >/etc/rowferry/cloudwatch-agent.json
cp "$here/logrotate.conf" /etc/logrotate.d/rowferry
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:/etc/rowferry/cloudwatch-agent.json

step "address"
take_address

step "units"
cp "$here"/*.service "$here"/*.timer /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now rowferry-api.service

step "health"
wait_for /livez
wait_for /
systemctl enable --now rowferry-watch.timer
/opt/aws/bin/cfn-signal --exit-code 0 --stack "$STACK" --resource ApiGroup --region "$AWS_DEFAULT_REGION" ||
  say "nobody waits for a signal: this instance replaces one that was lost"
trap - EXIT
say "ready"
