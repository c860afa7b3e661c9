#!/usr/bin/env bash
# Installs PostgreSQL 15 from Debian's packages, where it is not there already.
# Nothing is started: the benchmark runs a server of its own in a temporary
# folder.
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
"$bin/postgres" --version
