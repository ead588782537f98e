#!/bin/sh
# Installs what the load test of verification needs beside Rust: PostgreSQL, Node.js with better-auth, and
# Python with Starlette. Missing programs are installed with the system's package manager; everything else
# goes into target/.
set -eu

cd "$(dirname "$0")/../.."

install() {
    echo "installing $*"
    root=""
    if [ "$(id -u)" -ne 0 ]; then root=sudo; fi
    if command -v apt-get >/dev/null; then
        $root apt-get update -qq
        DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq "$@" >/dev/null
    else
        echo "please install: $*" >&2
        exit 1
    fi
}

command -v python3 >/dev/null || install python3 python3-venv
command -v npm >/dev/null || install nodejs npm
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null ||
    install postgresql

# Each is installed again only when its list of packages has changed.
from=benches/verify/starlette/requirements.txt
tool=target/tools/starlette
if ! cmp -s "$from" "$tool/made-from"; then
    rm -rf "$tool"
    mkdir -p target/tools
    python3 -m venv "$tool" 2>/dev/null || { install python3-venv; python3 -m venv "$tool"; }
    "$tool/bin/pip" install --quiet --disable-pip-version-check --requirement "$from"
    cp "$from" "$tool/made-from"
fi

from=benches/verify/better-auth/package-lock.json
tool=target/tools/better-auth
if ! cmp -s "$from" "$tool/made-from"; then
    rm -rf "$tool"
    mkdir -p "$tool"
    cp benches/verify/better-auth/package.json "$from" "$tool/"
    (cd "$tool" && npm ci --silent --no-audit --no-fund)
    cp "$from" "$tool/made-from"
fi
# Node.js looks for packages in the folder of the program.
cp benches/verify/better-auth/server.mjs "$tool/"
