"""An experiment is one config file: read it, check it, fill in the defaults.

Its keys are declared in `config_types.py`; datasets and model families declare their own
(`SETTINGS`) in their own files. Errors name the key, the file, and the nearest known key.
"""

import copy
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from jsonschema import Draft202012Validator

from sightlines.core import yaml_files
from sightlines.core.errors import ConfigError
from sightlines.plan import objectives, registry
from sightlines.plan.blocks import frozen, schema_of
from sightlines.plan.config_errors import explained
from sightlines.plan.config_types import STEPS, Config, Model, Task, Train
from sightlines.plan.networks import Network
from sightlines.plan.renamed_keys import (
    Former,
    as_written,
    former_betas,
    name_of,
    of_family,
    renewed,
    warn,
)

FOLDER = Path(__file__).resolve().parents[3] / "workflow" / "config"
"""Experiments of a checkout."""


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read an experiment's config file, check it against the schema, fill in all defaults.

    Args:
        path: The one config file of the experiment.
        overrides: Single keys from the command line (see `from_command_line`), merged on top.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, missing or there twice, a
            value is not allowed or not read alike by all. All problems are listed at once.
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
    own, former, problems = renewed(raw)
    top, more, conflicts = renewed(overrides or {})
    merged = _merged(own, top)
    return _complete(merged, former + more, problems + conflicts, where, str(path))


def _merged(base: Any, top: Any) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        return base | {key: _merged(base.get(key), value) for key, value in top.items()}
    return top


def from_command_line(words: Iterable[str] | None) -> dict[str, Any]:
    """Single keys as `snakemake --config` has them, with the types that a config file gives them.

    Snakemake itself makes text of every value inside of braces.

    Args:
        words: Such as ``train={"steps": 6}``, as typed or as a profile has them.

    Raises:
        ConfigError: a value is not YAML, not read alike by all, or there twice.
    """
    properties = read_schema()["properties"]
    found: dict[str, Any] = {}
    for word in words or ():
        key, _, text = word.partition("=")
        where = f"--config {key}"
        if properties.get(key, {}).get("type") == "string":
            value = text.strip("'\"")  # a folder's name is no number, whatever it looks like
        else:
            value = yaml_files.parse(text, where)
        _add(found, key, value, where)
    return found


def _add(found: dict[str, Any], key: str, value: Any, place: str) -> None:
    if key not in found:
        found[key] = value
    elif isinstance(found[key], dict) and isinstance(value, dict):
        for inner, below in value.items():
            _add(found[key], inner, below, f"{place}.{inner}")
    elif found[key] != value:
        raise ConfigError(f"{place} stands twice, {found[key]!r} and {value!r}: leave out one")


def complete(raw: Mapping[str, Any], where: str) -> Config:
    """Check a config that is already in memory and fill in the defaults.

    Args:
        raw: The config as the user wrote it.
        where: How errors call it.
    """
    return _complete(*renewed(raw), where, where)


def _complete(
    raw: dict[str, Any], former: list[Former], problems: list[str], where: str, file: str
) -> Config:
    problems = problems + (odd := _odd_values(raw))
    if not odd:
        schema = _resolve(read_schema(), raw)
        problems += [explained(error) for error in Draft202012Validator(schema).iter_errors(raw)]
    if problems:
        listed = "\n  ".join(sorted(set(problems)))
        raise ConfigError(f"{where}:\n  {listed}\nworkflow/config/README.md explains every key.")
    config = _made(raw)
    warn([*former, *former_betas(raw, config)], file)
    return config


def _made(raw: Mapping[str, Any]) -> Config:
    """The typed config of a checked one."""
    given = raw.get("train", {"steps": STEPS})
    train = Train(steps=given["steps"]).changed(given)
    models = {}
    for name, own in raw["models"].items():
        settings = {key: value for key, value in own.items() if key not in ("label", "train")}
        models[name] = Model(
            settings=_filled("models", "family", settings),
            label=own.get("label"),
            train=train.changed(own.get("train", {})),
        )
    tasks = {}
    for name, task in raw.get("transfer", {}).items():
        own = Task.made_of(task)
        dataset = _filled("datasets", "kind", own.dataset)
        tasks[name] = replace(own, dataset=dataset, train=frozen(Train.typed(own.train)))
    parts: dict[str, Any] = {
        "dataset": _filled("datasets", "kind", raw["dataset"]),
        "models": frozen(models),
        "train": train,
        "transfer": frozen(tasks),
    }
    rest = {key: value for key, value in raw.items() if key not in parts}
    return Config(**parts, **Config.typed(rest))


def _filled(folder: str, select: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one member with its defaults, by the names by which records have them."""
    declared = registry.declarations(folder, own[select])["SETTINGS"]
    known = {name: key for key, name in of_family(declared).items()} if folder == "models" else {}
    settings = {known.get(name, name): copy.deepcopy(value) for name, value in own.items()}
    _fill({"properties": declared}, settings)
    return settings


def read_schema() -> dict[str, Any]:
    """The schema of a config file, before datasets and families join."""
    return schema_of(Config)


def member_schema(node: dict[str, Any], name: str) -> dict[str, Any]:
    """Schema of one dataset or one model family: the shared keys and the file's own SETTINGS."""
    declared = registry.declarations(node["x-members"], name)
    settings, required = declared["SETTINGS"], declared.get("REQUIRED", ())
    if node["x-members"] == "models":
        settings, required = as_written(settings), [name_of(key) for key in required]
    select = node["x-select"]
    own = {
        "description": f"{node['x-members'][:-1]} file",
        "enum": list(registry.members(node["x-members"])),
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {select: own} | node.get("properties", {}) | settings,
        "required": [select, *required],
    }


def _resolve(schema: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Put the chosen dataset's and families' own schemas into the places that name them."""
    properties = schema["properties"]
    properties["dataset"] = _choose(properties["dataset"], config.get("dataset"))
    generic = properties["models"].pop("additionalProperties")
    properties["train"]["properties"] |= objectives.schemas()
    partial = schema_of(Train, is_partial=True) | {"default": {}}
    own = partial | {"properties": partial["properties"] | objectives.schemas()}
    generic["properties"]["train"] = own
    models = config.get("models")
    named = models if isinstance(models, dict) else {}
    properties["models"]["properties"] = {n: _choose(generic, m) for n, m in named.items()}
    task = properties["transfer"].pop("additionalProperties")
    supervised = {k: v for k, v in partial["properties"].items() if k != "objective"}
    task["properties"]["train"] = partial | {"properties": supervised}
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


def networks(config: Config) -> list[Network]:
    """All networks of the runs, each once, in the config's order."""
    found = (
        Network(model, fraction, seed)
        for run in config.runs
        for model in run.models
        for fraction in run.fractions
        for seed in run.seeds
    )
    return list(dict.fromkeys(found))


def source_folder(config: Config) -> str:
    """Where archives, image folders and weights lie: SIGHTLINES_DATA, or the key data_root.

    `~`, `$HOME` and other variables in it are what they are on this machine.

    Raises:
        ConfigError: it names a variable or a user that is not known here.
    """
    named = os.environ.get("SIGHTLINES_DATA")
    place = named or config.data_root
    path = os.path.expanduser(os.path.expandvars(place))  # noqa: PTH111 - Path would drop "./"
    if not Path(path).exists() and ("$" in path or path.startswith("~")):
        raise ConfigError(
            f"{'SIGHTLINES_DATA' if named else 'data_root'} is {place!r}, and {path!r} is not "
            "known here: write the folder out"
        )
    return path
