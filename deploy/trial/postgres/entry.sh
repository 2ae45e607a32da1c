#!/bin/sh
# As little of the official entry point as it takes: a cluster with a password, a database, then the server.
set -eu
export PGDATA=/var/lib/postgresql/18/docker
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  printf %s "$POSTGRES_PASSWORD" > /tmp/password
  initdb -D "$PGDATA" -U postgres -A scram-sha-256 --pwfile /tmp/password -E UTF8 --no-locale --no-instructions
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
# A volume that is given to a group at each mount lets it write; PostgreSQL starts on none that does.
chmod 0700 "$PGDATA"
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql -D "$PGDATA"
