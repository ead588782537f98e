"""Renders a Helm chart without a cluster: `render.py CHART FILE VALUES`, where FILE has values in YAML, and VALUES, in
JSON, are set on top. Prints {"objects": […], "notes": "…"}, or {"refusal": "…"} if the chart does not take the values."""

import json
import sys

import helm_python
import yaml


def merged(one, other):
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return one | {name: merged(one.get(name), value) for name, value in other.items()}


def rendered(path, values):
    with helm_python.Chart.load(path) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="keyledger", namespace="keys")
    notes = [text for name, text in texts.items() if name.endswith("NOTES.txt")]
    texts = [texts[name] for name in sorted(texts) if name.endswith(".yaml")]
    objects = [item for text in texts for item in yaml.safe_load_all(text) if item is not None]
    return {"objects": objects, "notes": "".join(notes)}


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        values = merged(yaml.safe_load(file), json.loads(sys.argv[3]))
    try:
        print(json.dumps(rendered(sys.argv[1], values)))
    except helm_python.HelmError as error:
        print(json.dumps({"refusal": str(error)}))
