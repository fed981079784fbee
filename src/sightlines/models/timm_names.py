"""What timm calls its models, their outputs and their arguments, read from its files unimported."""

import ast
import difflib
import functools
import re
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError

Facts = dict[str, Any]

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
