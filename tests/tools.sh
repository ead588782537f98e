#!/bin/sh
# Makes ready what the tests drive: Node.js (the UI's client) and Schemathesis (a fuzzer of HTTP
# APIs). The system's package manager is used only for what is missing; the rest stays in target/.
set -eu

cd "$(dirname "$0")/.."
SCHEMATHESIS=4.32.5

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

command -v node >/dev/null || install nodejs
command -v python3 >/dev/null || install python3 python3-venv

venv=target/tools/schemathesis
if ! "$venv/bin/st" --version 2>/dev/null | grep -qF "$SCHEMATHESIS"; then
    rm -rf "$venv"
    mkdir -p target/tools
    python3 -m venv "$venv" 2>/dev/null || { install python3-venv; python3 -m venv "$venv"; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS"
fi
