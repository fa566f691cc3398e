#!/usr/bin/env bash
# Installs what the build, the local stack and the tests need and this machine doesn't have: the wasm target, Debian packages, and, for
# the tests alone, into target/tools: from PyPI Schemathesis, what makes components of Python and what checks compose.yaml, from npm what
# makes components of JavaScript.
# Says what it is about to install. Does nothing, quickly, when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

command -v rustup >/dev/null || fail "rustup is missing; install it (see rustup.rs), then run this again"
target=wasm32-wasip2
if ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    echo "installing the Rust toolchain of rust-toolchain.toml with the target $target"
    rustup toolchain install >/dev/null
    rustup target add "$target"
fi

# Debian package <- what it is needed for. PostgreSQL's server is not on the PATH in Debian's layout.
missing=()
need() { # package, command or file that shows that it is there
    command -v "$2" >/dev/null 2>&1 || compgen -G "$2" >/dev/null || missing+=("$1")
}
need gcc cc
need curl curl
need jq jq
need postgresql '/usr/lib/postgresql/*/bin/postgres'
need pgbouncer /usr/sbin/pgbouncer
need prometheus prometheus
need prometheus-alertmanager prometheus-alertmanager
need prometheus-node-exporter prometheus-node-exporter
need prometheus-postgres-exporter prometheus-postgres-exporter
need docker-compose docker-compose
need nodejs node
need npm npm
python3 -m ensurepip --version >/dev/null 2>&1 || missing+=(python3-venv)

# Run after the Debian packages, some of which they may need.
#
# What is installed is kept beside the list of what was wanted. That list alone doesn't say that the tools still run: in a build cache
# they may come from another machine or, programs of Python naming their interpreter by its whole path, from another checkout.
python_tools() { # name, requirements, a program of them
    local tools=target/tools/$1 wanted=$2 program=$3
    cmp -s "$wanted" "$tools/installed.txt" && "$tools/bin/$program" --version >/dev/null 2>&1 && return
    echo "installing $(paste -sd ' ' "$wanted") into $tools"
    rm -rf "$tools"
    # By its path without links: a checkout that shares this one's `target` may outlive it.
    python3 -m venv "$(realpath -m "$tools")"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$tools/installed.txt"
}
javascript_tools() { # name, folder of package.json and package-lock.json, a program of them
    local tools=target/tools/$1 wanted=$2 program=$3
    cmp -s "$wanted/package-lock.json" "$tools/installed.json" &&
        "$tools/node_modules/.bin/$program" --version >/dev/null 2>&1 && return
    echo "installing what $wanted/package-lock.json names into $tools"
    rm -rf "$tools"
    mkdir -p "$tools"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$tools"
    # In it: npm does not see through a `target` that is a link.
    (cd -P "$tools" && npm ci --loglevel=error --no-audit --no-fund)
    cp "$wanted/package-lock.json" "$tools/installed.json"
}
tools() {
    python_tools schemathesis tests/schemathesis.txt schemathesis
    python_tools python tests/components/python/requirements.txt componentize-py
    python_tools compose infra/compose/linters.txt compose-lint
    javascript_tools javascript tests/components/javascript componentize-js
    javascript_tools dashboards observability/grafana/schema tsc
}
if [ ${#missing[@]} -eq 0 ]; then
    tools
    exit 0
fi

command -v apt-get >/dev/null || fail "missing: ${missing[*]}; install them with your system's package manager"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
echo "installing Debian packages: ${missing[*]}"

# Debian starts a server as soon as it is installed, on the very ports that ours would take. We only want the programs.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    made_policy=yes
fi
cleanup() {
    if [ "$made_policy" = yes ]; then "${as_root[@]}" rm -f "$policy"; fi
}
trap cleanup EXIT
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
if [ -d /run/systemd/system ]; then
    for package in "${missing[@]}"; do
        case "$package" in
        postgresql | pgbouncer | prometheus*) "${as_root[@]}" systemctl disable --quiet "$package" || true ;;
        esac
    done
fi
tools
