#!/usr/bin/env bash
# Checks the dependencies. Installs cargo-deny if it isn't there. Advisories need their database, which comes from the network:
# where it can't be had, that one check is left out, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "installing cargo-deny (a few minutes, once)"
    cargo install cargo-deny --locked --quiet
fi
cargo deny --log-level error check bans licenses sources
if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
    cargo deny --log-level error check advisories
else
    echo "advisories not checked: their database can't be fetched from here"
fi
