#!/usr/bin/env bash
# Makes the secrets that compose.yaml mounts, each in a file of its own; what is there stays. Again after a password was changed:
# the files with several passwords, or with one in an address, are written anew.
#
#   infra/compose/secrets.sh          into infra/compose/secrets, and infra/.env, without which compose refuses to start
#   infra/compose/secrets.sh DIR      into DIR alone
#
# Containers read them as six different users, none of whom is you. So it's the directory that keeps others out (0700): Docker mounts
# the files out of it, each one only into the services that compose.yaml names.
set -euo pipefail
umask 077
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-$here/secrets}

write() { # name, content: whole or not at all
    printf '%s\n' "$2" >"$dir/.new"
    chmod 0644 "$dir/.new"
    mv -f "$dir/.new" "$dir/$1"
}
random() { # name: 256 bits, in digits that need no quotes in SQL, addresses or configuration files
    [ -s "$dir/$1" ] || write "$1" "$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n')"
}
optional() { # name: empty until a person fills it
    [ -e "$dir/$1" ] || install -m 0644 /dev/null "$dir/$1"
}
password() { # name
    local text
    text=$(cat "$dir/$1")
    if [[ ! $text =~ ^[A-Za-z0-9._~-]+$ ]]; then
        echo "error: $dir/$1: only letters, digits and . _ ~ - can stand in an address" >&2
        exit 1
    fi
    printf %s "$text"
}

mkdir -p "$dir"
chmod 0700 "$dir"

# PostgreSQL's superuser and roles; the users of PgBouncer's console.
for name in postgres flowviz flowviz_app flowviz_monitor flowviz_stats flowviz_admin; do random "${name}_password"; done
for name in jwt_secret admin_token grafana_admin_password grafana_secret_key; do random "$name"; done
# For notifications: Slack's webhook, the mail account's password. Whoever has them fills them in (docs/compose.md, Who is told).
for name in slack_url smtp_password; do optional "$name"; done

owner=$(password flowviz_password)
app=$(password flowviz_app_password)
stats=$(password flowviz_stats_password)
admin=$(password flowviz_admin_password)
write migrate_url "postgres://flowviz:$owner@postgres:5432/flowviz"
write database_url "postgres://flowviz_app:$app@pgbouncer:6432/flowviz"
write pgbouncer_stats_url "postgres://flowviz_stats:$stats@pgbouncer:6432/pgbouncer"
write pgbouncer_userlist "\"flowviz_app\" \"$app\"
\"flowviz_stats\" \"$stats\"
\"flowviz_admin\" \"$admin\""

if [ $# -eq 0 ]; then
    env=$here/../.env
    for line in COMPOSE_PROJECT_NAME=flowviz FLOWVIZ_SECRETS=./compose/secrets; do
        grep -qs "^${line%%=*}=" "$env" || echo "$line" >>"$env"
    done
fi
