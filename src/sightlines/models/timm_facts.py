"""What a public model of timm is, asked once and remembered: sizes, normalisation, classes, grid.

A config is checked before torch is started, so the questions go to a process of their own, which
builds the model without memory for its weights (torch's meta device) and shows it one image. The
answers lie in `.cache/sightlines/timm/`, named by what was asked, timm's version and this code.
"""

import functools
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError, MissingSourceError, SightlinesError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import write_json
from sightlines.models import weight_shards
from sightlines.models.timm_names import Facts
from sightlines.plan.code_digest import code_digest

CACHE = Path(".cache/sightlines/timm")
ASKED = ("name", "arguments", "size_px", "patch_px", "outputs", "layers")
"""Settings on which the answers depend."""
_known: dict[str, Facts] = {}


def facts(settings: Mapping[str, Any]) -> Facts:
    """What timm says of a model, and what one forward pass shows.

    Returns:
        `name`, `tag`, `file` (of timm.models), `hub_id`, `size_px`, `own_px` (timm's), `mean`,
        `std`, `interpolation`, `crop_share`, `crop_mode`, `outputs`, `grid`, `role`, `pool`,
        `attention`, `centres`, `branches` (whether its skips are known), `starts_idle` (see
        `models/idle.py`), `layers` (how many), `parameters`, and `shape`: what makes two models
        twins.

    Raises:
        ConfigError: timm has no such model, it cannot be built so, or none of its blocks is known.
    """
    return learn([settings])[0]


def learn(models: Sequence[Mapping[str, Any]]) -> list[Facts]:
    """`facts` of several models: what is not known yet is asked of one process.

    Raises:
        ConfigError: of the first model that has one.
    """
    asked = [{key: model[key] for key in ASKED if key in model} for model in models]
    keys = [_key(one) for one in asked]
    for key in {*keys} - _known.keys():
        _known.update(_recall(key))
    new = {key: one for key, one in zip(keys, asked, strict=True) if key not in _known}
    if new:
        for key, answer in zip(new, _ask([*new.values()]), strict=True):
            _known[key] = answer
            if "error" not in answer:
                write_json(CACHE / f"{key}.json", answer)
    found = [_known[key] for key in keys]
    for answer in found:
        if "error" in answer:
            raise ConfigError(answer["error"])
    return found


def check_weights(weights: str) -> None:
    """Check that a file of weights lies below data_root, as far as its name tells.

    Raises:
        ConfigError: the path leads out of it, or it is an address.
    """
    if re.match(r"(hf[-_]hub|https?|hf|s3|file):", weights):
        raise ConfigError(
            f"weights is {weights!r}, an address: set weights to hub for timm's own weights, which "
            "name chooses (`timm/<name>.<tag>`), or to a file below data_root"
        )
    require_below(weights, "weights", "hub, random or ")


def weights_identity(settings: Mapping[str, Any], source: str) -> str:
    """What tells a model's weights from others: a file's SHA-256, or their name on the hub.

    Args:
        settings: `name`, `weights`, `revision`.
        source: data_root or SIGHTLINES_DATA.

    Raises:
        MissingSourceError: there is no such file, or an index names files that are not there.
        WeightsError: an index of several files is none.
    """
    if settings["weights"] == "hub":
        known = facts(settings)
        here = f"hub/{known['hub_id']}/{known['hub_file'] or 'model.safetensors'}"
        (found,) = hash_files(Path(source), [here])  # where a user without a network puts it
        return f"{known['hub_id']}@{settings['revision']}" if found == UNREADABLE else found
    found = weight_shards.identity(Path(source), settings["weights"])
    if found == UNREADABLE:
        gone = weight_shards.missing(Path(source), settings["weights"])
        raise MissingSourceError(
            f"there is no weight file {Path(source, settings['weights'])}{gone and ', or '}{gone}: "
            f"set `weights` of {settings['name']} to a file below data_root (or below "
            "SIGHTLINES_DATA), or to hub"
        )
    return found


def class_file_identity(settings: Mapping[str, Any], source: str) -> str:
    """SHA-256 of the list of a network's output names; empty where the config names none.

    Args:
        settings: `name`, and maybe `class_file`.
        source: data_root or SIGHTLINES_DATA.

    Raises:
        MissingSourceError: there is no such file.
    """
    file = settings.get("class_file", "")
    if not file:
        return ""
    (found,) = hash_files(Path(source), [file])
    if found == UNREADABLE:
        raise MissingSourceError(
            f"there is no list of class names {Path(source, file)}: set `class_file` of "
            f"{settings['name']} to a file below data_root (or below SIGHTLINES_DATA)"
        )
    return found


@functools.cache
def _answering() -> tuple[str, ...]:
    """What the answers come from: versions, and the code here."""
    versions = (metadata.version(package) for package in ("timm", "torch"))
    return (*versions, code_digest("sightlines.models.timm"))


def _key(asked: Mapping[str, Any]) -> str:
    text = json.dumps([asked, _answering()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _recall(key: str) -> dict[str, Facts]:
    try:
        found = json.loads((CACHE / f"{key}.json").read_text())
    except (OSError, ValueError):
        return {}
    return {key: found} if isinstance(found, dict) and "grid" in found else {}


def _ask(asked: Sequence[Mapping[str, Any]]) -> list[Facts]:
    done = subprocess.run(
        [sys.executable, "-m", "sightlines.models.timm_facts"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answers: list[Facts] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise ConfigError(
            f"timm could not be asked about {[one['name'] for one in asked]}: {done.stderr[-2000:]}"
        ) from error
    return answers


def _answer(asked: Mapping[str, Any]) -> Facts:
    from sightlines.models.timm_building import describe

    try:
        return describe(asked)
    except SightlinesError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps([_answer(one) for one in json.loads(sys.stdin.read())]))
