"""What a public model of timm is, asked once and remembered: sizes, normalisation, classes, grid.

A config is checked before torch is started, so the questions go to a process of their own, which
builds the model without memory for its weights (torch's meta device) and shows it one image. The
answers lie in `.cache/sightlines/timm/`, named by what was asked, timm's version and this code.
"""

import ast
import difflib
import functools
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines.core.errors import ConfigError, MissingSourceError, SightlinesError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import write_json
from sightlines.plan.code_digest import code_digest

CACHE = Path(".cache/sightlines/timm")
ASKED = ("name", "arguments", "size_px", "patch_px", "outputs", "layers")
"""Settings on which the answers depend."""
SYNSETS = {
    1000: "imagenet_synsets.txt",
    11821: "imagenet12k_synsets.txt",
    21841: "imagenet22k_synsets.txt",
    21843: "imagenet21k_goog_synsets.txt",
}
"""timm's lists of WordNet ids, by the number of outputs of the models that were trained on them."""
OWN_ARGUMENTS = frozenset(
    "num_classes img_size patch_size scriptable exportable no_jit cache_dir".split()
)
"""Arguments that other keys of the config set, or that change no network."""
GREY = "in_chans"
"""The argument that says how many channels a network's images have."""
REFUSED = ("pretrained", "checkpoint", "feature", "out_indices", "pruned", "kwargs")
"""Beginnings of arguments that read files or build something else than a classifier."""

Facts = dict[str, Any]
_known: dict[str, Facts] = {}


def facts(settings: Mapping[str, Any]) -> Facts:
    """What timm says of a model, and what one forward pass shows.

    Returns:
        `name`, `tag`, `file` (of timm.models), `hub_id`, `size_px`, `own_px` (timm's), `mean`,
        `std`, `interpolation`, `crop_share`, `crop_mode`, `outputs`, `grid`, `role`, `pool`,
        `attention`, `centres`, `branches` (whether its skips are known), `layers` (how many),
        `parameters`, and `shape`: what makes two models twins.

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
    check_below(weights, "weights", "hub, random or ")


def check_below(path: str, key: str, others: str = "") -> None:
    """Check that a path lies below data_root, as far as its name tells.

    Args:
        path: What the config says; may be empty.
        key: Of the config, for the error.
        others: What else the key may be, in words.

    Raises:
        ConfigError: the path leads out of it.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise ConfigError(
            f"{key} is {path!r}: it must be {others}a path below data_root "
            "(or SIGHTLINES_DATA), neither absolute nor with '..'"
        )


def weights_identity(settings: Mapping[str, Any], source: str) -> str:
    """What tells a model's weights from others: a file's SHA-256, or their name on the hub.

    Args:
        settings: `name`, `weights`, `revision`.
        source: data_root or SIGHTLINES_DATA.

    Raises:
        MissingSourceError: there is no such file.
    """
    if settings["weights"] == "hub":
        known = facts(settings)
        here = f"hub/{known['hub_id']}/{known['hub_file'] or 'model.safetensors'}"
        (found,) = hash_files(Path(source), [here])  # where a user without a network puts it
        return f"{known['hub_id']}@{settings['revision']}" if found == UNREADABLE else found
    (found,) = hash_files(Path(source), [settings["weights"]])
    if found == UNREADABLE:
        raise MissingSourceError(
            f"there is no weight file {Path(source, settings['weights'])}: set `weights` of "
            f"{settings['name']} to a file below data_root (or below SIGHTLINES_DATA), or to hub"
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


def class_names(outputs: int) -> list[str]:
    """WordNet ids of a network's outputs, in their order; numbers where timm has no list."""
    if outputs in SYNSETS:
        return (_timm() / "data" / "_info" / SYNSETS[outputs]).read_text().split()
    return [str(index) for index in range(outputs)]


def readable_names() -> dict[str, list[str]]:
    """WordNet id -> what WordNet calls it, in small letters."""
    lines = (_timm() / "data" / "_info" / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {synset: [word.strip().lower() for word in text.split(",")] for synset, text in pairs}


@functools.cache
def entry_points() -> dict[str, str]:
    """Every model that timm builds by name -> the file of `timm.models` that defines it."""
    found: dict[str, str] = {}
    for path in sorted((_timm() / "models").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        found |= dict.fromkeys(re.findall(r"^@register_model\ndef (\w+)\(", text, re.M), path.stem)
    return found


@functools.cache
def renamed() -> dict[str, str]:
    """Names that timm has given up -> what it calls the model now; empty where it is gone."""
    found: dict[str, str] = {}
    pattern = re.compile(r"^register_model_deprecations\(__name__, (\{.*?^\})", re.M | re.S)
    for path in sorted((_timm() / "models").glob("*.py")):
        for block in pattern.findall(path.read_text(encoding="utf-8")):
            found |= {old: new or "" for old, new in ast.literal_eval(block).items()}
    return found


def entry_point(name: str) -> tuple[str, str, str]:
    """Name, tag of the weights (maybe empty) and file of a model such as ``vit_…_224.augreg``.

    Raises:
        ConfigError: timm has none of that name; the nearest names are told. Or it is a repository
            of somebody else's.
    """
    plain, _, tag = _without_owner(name).partition(".")
    known = entry_points()
    if plain not in known and renamed().get(plain):
        raise ConfigError(f"timm calls {plain!r} {renamed()[plain]} now: set name to that")
    if plain not in known:
        near = ", ".join(difflib.get_close_matches(plain, known, n=5, cutoff=0.0))
        raise ConfigError(
            f"timm {metadata.version('timm')} has no model {plain!r}: nearest are {near}"
        )
    return plain, tag, known[plain]


def _without_owner(name: str) -> str:
    """Timm's name of a model, of which ``timm/<name>`` and ``hf-hub:timm/<name>`` are others.

    Raises:
        ConfigError: it is a repository of somebody else's, or names a revision.
    """
    hub_id = re.sub(r"^hf[-_]hub:", "", name)
    owner, _, plain = hub_id.rpartition("/")
    if "@" in plain:
        plain, _, revision = plain.partition("@")
        raise ConfigError(f"name is {name!r}: set name to {plain} and revision to {revision}")
    if owner not in ("", "timm"):
        raise ConfigError(
            f"name is {name!r}, a repository of the hub that is not timm's: set name to timm's "
            "name of the model (`architecture` in the repository's config.json), and weights to "
            "its model.safetensors, put below data_root"
        )
    return plain


def _timm() -> Path:
    spec = util.find_spec("timm")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


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


def refuse_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that another key sets, or by which a config could make timm read files.

    The number of channels may be 1: such a network is built for 3, and sees their luminance.

    Raises:
        ConfigError: naming them.
    """
    for name, value in arguments.items():
        if name == GREY and value in (1, 3):
            continue
        if name == GREY:
            raise ConfigError(
                f"arguments.{GREY} is {value}: images have 3 channels. Set it to 1 for a network "
                "for grey images, or leave it out"
            )
        if name in OWN_ARGUMENTS or name.startswith(REFUSED):
            raise ConfigError(
                f"arguments.{name} cannot be set here: sizes, outputs and weights have keys of "
                "their own (size_px, patch_px, outputs, weights)"
            )


def _answer(asked: Mapping[str, Any]) -> Facts:
    from sightlines.models.timm_building import describe

    try:
        return describe(asked)
    except SightlinesError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps([_answer(one) for one in json.loads(sys.stdin.read())]))
