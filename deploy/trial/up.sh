#!/bin/sh
# Build the images and run the compose file for real, where no registry can be reached: see README.md beside this.
#   sh deploy/trial/up.sh          up, one request through the gate, down again
#   KEEP=1 sh deploy/trial/up.sh   leave everything running
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/.data/trial
export GATEWAY_PORT="${GATEWAY_PORT:-18080}" DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}"
export PYTHON_IMAGE=trial/python:3.11 POSTGRES_IMAGE=trial/postgres:18 VALKEY_IMAGE=trial/valkey:9
mkdir -p "$here"

if ! docker info >/dev/null 2>&1; then
  export DOCKER_HOST="unix://$here/docker.sock"
  dockerd --data-root "$here/docker" --exec-root "$here/exec" --pidfile "$here/dockerd.pid" --host "$DOCKER_HOST" \
    >"$here/dockerd.log" 2>&1 &
  trap '[ -n "${KEEP:-}" ] || kill "$(cat "$here/dockerd.pid")"' EXIT
  tries=0
  until docker info >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "dockerd does not start:" >&2; tail -n 5 "$here/dockerd.log" >&2; exit 1; }
    sleep 0.5
  done
fi

sh deploy/trial/images.sh
docker compose up --wait --wait-timeout 180
docker compose ps
.venv/bin/python - "http://127.0.0.1:$GATEWAY_PORT" <<'END'
"""Log in through the gate and read something: each service behind it is up, or compose would not have returned."""
import json, sys, urllib.request

def ask(path, headers, body=None):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)

login = {"username": "root", "password": "changeme"}
token = ask("/api/v1/auth/login", {"content-type": "application/json"}, login)["access_token"]
ask("/api/v1/feature-flags", {"authorization": f"Bearer {token}"})
print("logged in through the gate and listed the feature flags")
END
[ -n "${KEEP:-}" ] || docker compose down --volumes --timeout 30
