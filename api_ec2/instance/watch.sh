#!/usr/bin/env bash
# Once a minute, by rowferry-watch.timer: is the API alive? Told to CloudWatch; after three times not, it is started
# again, after six the group replaces the instance. A database that is down does not count: no new instance mends it.
set -euo pipefail

count=/run/rowferry-watch
failures=0
if [ -f "$count" ]; then failures=$(<"$count"); fi

if curl --fail --silent --max-time 10 --output /dev/null "http://127.0.0.1:$API_PORT/livez"; then
  failures=0 healthy=1
else
  failures=$((failures + 1)) healthy=0
fi
echo "$failures" >"$count"

if [ "$failures" -eq 3 ]; then
  echo "the API has not answered three times: starting it again"
  systemctl restart rowferry-api.service
elif [ "$failures" -ge 6 ]; then
  echo "the API has not answered $failures times: asking for another instance"
  aws autoscaling set-instance-health --instance-id "$INSTANCE" --health-status Unhealthy --no-should-respect-grace-period
fi
aws cloudwatch put-metric-data --namespace Rowferry --metric-name ApiHealthy --dimensions "Stack=$STACK" --value "$healthy"
