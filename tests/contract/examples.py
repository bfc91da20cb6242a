"""Compares each example of openapi.json with its schema, and prints how many there are."""

import json
import sys

from jsonschema_rs import Draft202012Validator

document = json.load(open("openapi.json", encoding="utf-8"))
compared = 0
faults = []


def compare(at, schema, example):
    global compared
    compared += 1
    whole = {"components": document["components"], "allOf": [schema]}
    for error in Draft202012Validator(whole, validate_formats=True).iter_errors(example):
        faults.append(f"{at}: {error.message}")


def walk(at, part):
    if isinstance(part, list):
        for number, inner in enumerate(part):
            walk(f"{at}/{number}", inner)
        return
    if not isinstance(part, dict):
        return
    # Of a parameter, a header or a content; of an event of a stream; of a schema itself.
    schema = part.get("schema", part.get("data"))
    if isinstance(schema, dict) and "example" in part:
        compare(at, schema, part["example"])
    examples = part.get("examples")
    if isinstance(examples, dict) and isinstance(schema, dict):
        for name, example in examples.items():
            compare(f"{at}/{name}", schema, example["value"])
    if isinstance(examples, list):
        for example in examples:
            compare(at, part, example)
    for name, inner in part.items():
        if name not in ("example", "examples"):
            walk(f"{at}/{name}", inner)


walk("", document)
if faults:
    sys.exit("\n".join(faults))
print(compared)
