"""Checks messages against an AsyncAPI document: `asyncapi.py DOCUMENT MESSAGES`, where each line of
MESSAGES is a JSON object {subject, headers, payload}."""

import json
import re
import sys

import jsonschema_rs
import yaml

document = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
schemas = {"components": document["components"]}


def resolve(part):
    while "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(schema, value):
    jsonschema_rs.Draft202012Validator({**schemas, **schema}, validate_formats=True).validate(value)


seen = set()
for line in open(sys.argv[2], encoding="utf-8"):
    message = json.loads(line)
    for name, channel in document["channels"].items():
        pattern = re.sub(r"\\{\w+\\}", "([0-9a-f-]{36})", re.escape(channel["address"]))
        place = re.fullmatch(pattern, message["subject"])
        if place:
            break
    else:
        sys.exit(f"no channel has the address {message['subject']}")
    if place.groups():
        assert place.group(1) == message["payload"]["subject"]
    told = resolve(channel["messages"][name])
    check(resolve(told["headers"]), message["headers"])
    check(told["payload"], message["payload"])
    seen.add(name)
missing = set(document["channels"]) - seen
if missing:
    sys.exit(f"no message was seen on {sorted(missing)}")
print(f"checked {sorted(seen)}")
