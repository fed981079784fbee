"""What is wrong with a config, in words: where it stands, what it may be, the nearest known key."""

import contextlib
import difflib
import math
from typing import Any

from sightlines.core import yaml_files
from sightlines.core.hardware import NO_MPS


def explained(error: Any) -> str:
    """What is wrong at one place of a config, with the cure.

    Args:
        error: A ValidationError of jsonschema.
    """
    place = ".".join(str(part) for part in error.absolute_path) or "the file"
    if error.validator == "additionalProperties":
        properties = error.schema["properties"]
        known = [key for key, node in properties.items() if "x-deprecated" not in node]
        unknown = [key for key in error.instance if key not in properties]
        return f"{place}: " + "; ".join(f"unknown key {k!r}{_nearest(k, known)}" for k in unknown)
    if error.validator == "enum":
        allowed = error.schema["enum"]
        if place == "compute.device" and error.instance == "mps":
            return f"{place}: {NO_MPS}"
        hint = _nearest(str(error.instance), [str(a) for a in allowed])
        return f"{place}: {error.instance!r} is not one of {allowed}{hint}"
    if error.validator == "required":
        missing = [key for key in error.schema["required"] if key not in error.instance]
        return f"{place}: missing key {', '.join(map(repr, missing))}"
    if error.validator == "oneOf":
        allowed = ", or ".join(map(_described, error.schema["oneOf"]))
        return f"{place}: {error.instance!r} is none of what it may be: write {allowed}"
    unit = f" (unit: {error.schema['unit']})" if "unit" in error.schema else ""
    return f"{place}: {error.message}{unit}{_as_number(error)}"


def _described(schema: dict[str, Any]) -> str:
    """What a value may be, in words: one of some words, a list, or a type."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"a list of {schema.get('minItems', 0)} or more, each a {schema['items']['type']}"
    return f"a value of type {schema['type']}"


def _as_number(error: Any) -> str:
    """How to write what is meant as a number or a truth value and is text, such as '1.0e-3'."""
    if error.validator != "type" or not isinstance(error.instance, str):
        return ""
    kind, text = error.schema["type"], error.instance.strip()
    with contextlib.suppress(ValueError, OverflowError):
        if kind == "boolean" and text.lower() in ("true", "false"):
            return f": it is text, write {text.lower()}"
        if kind == "integer" and float(text) == int(float(text)):
            return f": it is text, write {int(float(text))}"
        if kind in ("integer", "number") and math.isfinite(float(text)):
            return f": it is text, write {yaml_files.number(float(text))}"
    return ""


def _nearest(word: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f", nearest is {matches[0]!r}" if matches else ""
