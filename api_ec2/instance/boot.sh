#!/usr/bin/env bash
# Makes a fresh Amazon Linux 2023 instance the API's: its Python, its standing address, its units; and tells
# CloudFormation of success only once the API answers and its database has the tables. A deploy without its database
# fails and rolls back. An instance that replaces a lost one while the database is down stays: another would be no better.
# The user data of the template's ApiLaunchTemplate wrote /etc/rowferry/instance.env and unpacked the code.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
set -o allexport
# shellcheck source=/dev/null
source /etc/rowferry/instance.env
set +o allexport

say() { printf '%(%FT%TZ)T boot: %s\n' -1 "$*"; }
step() { doing=$1 && say "$1"; }

# A deploy that waits for this instance is told to roll back. Where none waits, CloudFormation refuses the signal.
signal_failure() {
  trap - EXIT
  say "failed: $1"
  /opt/aws/bin/cfn-signal --exit-code 1 --reason "boot: $1" --stack "$STACK" --resource ApiGroup --region "$AWS_DEFAULT_REGION" || true
}

# Whatever ends this script before the API lives: the group replaces the instance, too.
give_up() {
  signal_failure "$1"
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

answers_well() {
  for _ in {1..60}; do
    if curl --fail --silent --max-time 10 --output /dev/null "http://127.0.0.1:$API_PORT$1"; then return; fi
    sleep "$PATIENCE"
  done
  return 1
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
answers_well /livez || give_up "http://127.0.0.1:$API_PORT/livez does not answer well"
systemctl enable --now rowferry-watch.timer # from here on it looks after the process, and replaces the instance if need be
if ! answers_well /; then
  signal_failure "the API lives, but its database does not answer or lacks tables (GET / is not 200)"
  exit 1
fi
/opt/aws/bin/cfn-signal --exit-code 0 --stack "$STACK" --resource ApiGroup --region "$AWS_DEFAULT_REGION" ||
  say "nobody waits for a signal: this instance replaces one that was lost"
trap - EXIT
say "ready"
