"""An experiment is one config file: read it, check it, fill in the defaults, cut slices.

The schema is `schema.yaml` beside this file; datasets and model families declare their own keys
(`SETTINGS`) in their own files. Errors name the key, the file, and the nearest known key.
"""

import contextlib
import copy
import difflib
import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from jsonschema import Draft202012Validator

from sightlines.core import yaml_files
from sightlines.core.errors import ConfigError
from sightlines.plan import registry
from sightlines.plan.networks import Network

FOLDER = Path(__file__).resolve().parents[3] / "workflow" / "config"
"""Experiments of a checkout."""
SCHEMA = Path(__file__).with_name("schema.yaml")

Config = dict[str, Any]


def load(path: Path, overrides: Config | None = None) -> Config:
    """Read an experiment's config file, check it against the schema, fill in all defaults.

    Args:
        path: The one config file of the experiment.
        overrides: Single keys from the command line (see `from_command_line`), merged on top.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, missing or there twice, a
            value is not allowed or not read alike by all. All offences are listed at once.
    """
    try:
        raw = yaml_files.read(path)
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold keys such as dataset, models and runs")
    if raw.get("trust_code"):
        raise ConfigError(
            f"{path} sets trust_code, but a config may be somebody else's: whose code runs here is "
            "for you to say. Leave it out, and say it once: snakemake --config trust_code=<digest>"
        )
    where = f"{path} with --config {' '.join(overrides)}" if overrides else str(path)
    return complete(_merged(raw, overrides or {}), where)


def _merged(base: Any, top: Any) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        return base | {key: _merged(base.get(key), value) for key, value in top.items()}
    return top


def from_command_line(words: Iterable[str] | None) -> Config:
    """Single keys as `snakemake --config` has them, with the types that a config file gives them.

    Snakemake itself makes text of every value inside of braces.

    Args:
        words: Such as ``train={"steps": 6}``, as typed or as a profile has them.

    Raises:
        ConfigError: a value is not YAML, not read alike by all, or there twice.
    """
    properties = read_schema()["properties"]
    found: Config = {}
    for word in words or ():
        key, _, text = word.partition("=")
        where = f"--config {key}"
        if properties.get(key, {}).get("type") == "string":
            value = text.strip("'\"")  # a folder's name is no number, whatever it looks like
        else:
            value = yaml_files.parse(text, where)
        _add(found, key, value, where)
    return found


def _add(found: Config, key: str, value: Any, place: str) -> None:
    if key not in found:
        found[key] = value
    elif isinstance(found[key], dict) and isinstance(value, dict):
        for inner, below in value.items():
            _add(found[key], inner, below, f"{place}.{inner}")
    elif found[key] != value:
        raise ConfigError(f"{place} stands twice, {found[key]!r} and {value!r}: leave out one")


def complete(raw: Config, where: str) -> Config:
    """Check a config that is already in memory and fill in the defaults.

    Args:
        raw: The config as the user wrote it.
        where: How errors call it.
    """
    config = copy.deepcopy(raw)
    offences = _odd_values(config)
    if not offences:
        schema = _resolve(read_schema(), config)
        offences = [_explain(error) for error in Draft202012Validator(schema).iter_errors(config)]
    if offences:
        listed = "\n  ".join(sorted(set(offences)))
        raise ConfigError(f"{where}:\n  {listed}\nworkflow/config/README.md explains every key.")
    _fill(schema, config)
    for model in config["models"].values():
        model["train"] = config["train"] | model["train"]
    return config


def read_schema() -> dict[str, Any]:
    """The schema as `schema.yaml` has it, before datasets and families join."""
    schema: dict[str, Any] = yaml_files.read(SCHEMA)
    return schema


def defaults(block: str) -> Config:
    """What a block of the config, such as ``probes``, holds where nothing is set."""
    found: Config = {}
    _fill(read_schema()["properties"][block], found)
    return found


def member_schema(node: dict[str, Any], name: str) -> dict[str, Any]:
    """Schema of one dataset or one model family: the shared keys and the file's own SETTINGS."""
    declared = registry.declarations(node["x-members"], name)
    select = node["x-select"]
    own = {
        "description": f"{node['x-members'][:-1]} file",
        "enum": list(registry.members(node["x-members"])),
    }
    properties = {select: own} | node.get("properties", {}) | declared["SETTINGS"]
    required = [select, *declared.get("REQUIRED", ())]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _resolve(schema: dict[str, Any], config: Config) -> dict[str, Any]:
    """Put the chosen dataset's and families' own schemas into the places that name them."""
    properties = schema["properties"]
    properties["dataset"] = _choose(properties["dataset"], config.get("dataset"))
    generic = properties["models"].pop("additionalProperties")
    partial = copy.deepcopy(properties["train"])
    partial.pop("required")
    partial.pop("default")
    for key in partial["properties"].values():
        key.pop("default", None)
    generic["properties"]["train"] = partial | {"default": {}}
    models = config.get("models")
    named = models if isinstance(models, dict) else {}
    properties["models"]["properties"] = {n: _choose(generic, m) for n, m in named.items()}
    task = properties["transfer"].pop("additionalProperties")
    task["properties"]["train"] = partial | {"default": {}}
    tasks = config.get("transfer")
    properties["transfer"]["properties"] = {
        name: _with_dataset(task, chosen)
        for name, chosen in (tasks if isinstance(tasks, dict) else {}).items()
    }
    return schema


def _with_dataset(task: dict[str, Any], chosen: Any) -> dict[str, Any]:
    dataset = chosen.get("dataset") if isinstance(chosen, dict) else None
    choice = _choose(task["properties"]["dataset"], dataset)
    return task | {"properties": task["properties"] | {"dataset": choice}}


def _choose(node: dict[str, Any], value: Any) -> dict[str, Any]:
    names = registry.members(node["x-members"])
    chosen = value.get(node["x-select"]) if isinstance(value, dict) else None
    if chosen in names:
        return member_schema(node, chosen)
    return {
        "type": "object",
        "required": [node["x-select"]],
        "properties": {node["x-select"]: {"enum": list(names)}},
    }


def _odd_values(value: Any, place: str = "") -> list[str]:
    """What YAML admits and no schema sees: keys that are not text, numbers that are not finite."""
    inside = place or "the file"
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{inside}: {value} is not a finite number"]
    if isinstance(value, list):
        return [o for i, item in enumerate(value) for o in _odd_values(item, f"{place}.{i}")]
    if not isinstance(value, dict):
        return []
    odd = [
        f"{inside}: key {k!r} is not text: put it in quotes" for k in value if type(k) is not str
    ]
    below = f"{place}." if place else ""
    return odd + [o for key, item in value.items() for o in _odd_values(item, f"{below}{key}")]


def _fill(schema: dict[str, Any], value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _fill(schema.get("items", {}), item)
    if not isinstance(value, dict):
        return
    for key, child in schema.get("properties", {}).items():
        if key not in value and "default" in child:
            value[key] = copy.deepcopy(child["default"])
        if key in value:
            kinds = [node.get("type") for node in (child, *child.get("oneOf", ()))]
            if "integer" in kinds and isinstance(value[key], float):
                value[key] = int(value[key])  # JSON schema takes 12.0 for an integer
            elif child.get("type") == "number":
                value[key] = float(value[key])  # 1 and 1.0 are one value, so one result
            elif "x-path" in child:
                value[key] = _plain_path(value[key], child["x-path"])
            _fill(child, value[key])


def _plain_path(text: str, words: list[str]) -> str:
    """A path without ``./``, ``//`` and a last ``/``: spellings of one path are one value.

    Args:
        text: As the config has it.
        words: What is no path where it stands alone, such as ``hub``; it stays what it is.
    """
    plain = PurePosixPath(text).as_posix()
    return text if plain in words else plain


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error.absolute_path) or "the file"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = [key for key in error.instance if key not in known]
        return f"{place}: " + "; ".join(f"unknown key {k!r}{_nearest(k, known)}" for k in unknown)
    if error.validator == "enum":
        allowed = error.schema["enum"]
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


def networks(config: Config) -> list[Network]:
    """All networks of the runs, each once, in the config's order."""
    found = (
        Network(model, fraction, seed)
        for run in config["runs"]
        for model in run["models"]
        for fraction in run["fractions"]
        for seed in run["seeds"]
    )
    return list(dict.fromkeys(found))


def source_folder(config: Config) -> str:
    """Where archives, image folders and weights lie: SIGHTLINES_DATA, or the key data_root.

    `~`, `$HOME` and other variables in it are what they are on this machine.

    Raises:
        ConfigError: it names a variable or a user that is not known here.
    """
    named = os.environ.get("SIGHTLINES_DATA")
    place = named or config["data_root"]
    path = os.path.expanduser(os.path.expandvars(place))  # noqa: PTH111 - Path would drop "./"
    if not Path(path).exists() and ("$" in path or path.startswith("~")):
        raise ConfigError(
            f"{'SIGHTLINES_DATA' if named else 'data_root'} is {place!r}, and {path!r} is not "
            "known here: write the folder out"
        )
    return path
