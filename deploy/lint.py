"""Checks the chart and the dashboard: Helm's linter, Kubernetes' schemas, and the models of the Prometheus operator and
of Grafana. A model drops members that it does not know, so what it gives back must be what it was given."""

import json
import pathlib
import sys

import helm_python
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

DEPLOY = pathlib.Path(__file__).parent
CHART = DEPLOY / "helm/keyledger"
# The oldest version that Chart.yaml names, and the newest that there are schemas of.
KUBERNETES = ("1.30", "1.37")

sys.path.insert(0, str(DEPLOY.parent / "tests/deploy"))
from render import rendered  # noqa: E402

mistakes = []


def compare(place, given, kept):
    """Notes what a model has dropped or changed."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name in given:
            if name in kept:
                compare(f"{place}.{name}", given[name], kept[name])
            else:
                mistakes.append(f"{place} has an unknown member: {name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, pair in enumerate(zip(given, kept)):
            compare(f"{place}[{index}]", *pair)
    elif given != kept:
        mistakes.append(f"{place} is {given!r}, and would become {kept!r}")


def check(place, thing):
    """Checks an object of Kubernetes."""
    if thing["apiVersion"].startswith("monitoring.coreos.com/"):
        model = getattr(operator, thing["kind"]).model_validate(thing)
        compare(place, thing, model.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            mistakes.append(f"{place} on Kubernetes {version}: {error.message}")


for path in [None, *sorted(CHART.glob("ci/*-values.yaml"))]:
    name = path.name if path else "values.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    for message in helm_python.lint(CHART, values, strict=True)["messages"]:
        if message["severity"] > 1:
            mistakes.append(f"{name}: {message['path']}: {message['error']}")
    # The values of the chart alone name no stores, so it refuses them.
    things = rendered(CHART, values)["objects"] if path else []
    for thing in things:
        check(f"{name}: {thing['kind']} {thing['metadata']['name']}", thing)
    print(f"checked {name}: {len(things)} objects")

plugins.register_default_plugins()
dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text(encoding="utf-8"))
model = Dashboard.from_json(json.loads(json.dumps(dashboard)))
compare("dashboard.json", dashboard, json.loads(JSONEncoder().encode(model)))
print(f"checked dashboard.json: {len(dashboard['panels'])} panels")

sys.exit("\n".join(mistakes) or 0)
