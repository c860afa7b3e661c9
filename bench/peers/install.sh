#!/usr/bin/env bash
# Installs PostgreSQL 15 and Redis 7 from Debian's packages, where they are not
# there already. Nothing is started: the benchmarks run servers of their own in
# temporary folders.
set -euo pipefail
bin="${PG_BIN:-/usr/lib/postgresql/15/bin}"
if [ ! -x "$bin/postgres" ]; then
	apt-get update
	# Without the cluster that the package would make and start.
	mkdir -p /etc/postgresql-common
	grep -qs '^create_main_cluster' /etc/postgresql-common/createcluster.conf ||
		echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
	apt-get install -y --no-install-recommends postgresql-15
fi
redis="${REDIS_SERVER:-redis-server}"
if ! command -v "$redis" >/dev/null; then
	apt-get update
	# Without the server that the package would start.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get install -y --no-install-recommends redis-server
fi
"$bin/postgres" --version
"$redis" --version
