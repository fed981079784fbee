"""Networks as Hugging Face's libraries keep them: a folder with a config and safetensors.

A model's `name` is looked for in this order, and nothing is fetched:

    <data_root>/<name>                         a folder of one's own
    <data_root>/hub/<owner>/<name>             put there by hand
    <HF_HOME>/hub/models--<owner>--<name>      the hub's cache, at a revision

`config.json` says what the network is, `preprocessor_config.json` how it sees images. Planning
reads these two, of a few kilobytes; weights are read in a job.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError, MissingSourceError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import sha256
from sightlines.models import weight_shards
from sightlines.plan.renamed_keys import name_of

VIEW = ("size_px", "mean", "std", "interpolation", "crop_share", "crop_mode")
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of interpolations, as image processors write them."""
LARGEST = 1 << 24
"""Bytes of a config, at most: 16 MiB."""
WHOLE_FROM_PX = 384
"""ConvNeXt's processor crops images that are smaller than this, and squashes others."""
_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")


def find(name: str, revision: str, source: Path, holds: str) -> Path:
    """The folder of a network.

    Args:
        name: Path below data_root, or owner/name of the hub.
        revision: Branch, tag or commit in the hub's cache.
        source: data_root or SIGHTLINES_DATA.
        holds: A file that it must have.

    Raises:
        ConfigError: the name leads out of data_root.
        MissingSourceError: there is none; with how to get it.
    """
    require_below(name, "name", "owner/name of the hub, or ")
    tried = [source / name, source / "hub" / name]
    tried += [cached] if (cached := _cached(name, revision)) else []
    for folder in tried:
        if (folder / holds).is_file():
            return folder
    fetch = f"hf download {name}" if _HUB_ID.fullmatch(name) else "save_pretrained of its library"
    raise MissingSourceError(
        f"there is no {holds} of {name}: it was looked for in {', '.join(map(str, tried))}. Put "
        f"the folder below data_root (or SIGHTLINES_DATA), as {fetch} makes it"
    )


def _cached(name: str, revision: str) -> Path | None:
    """Its folder in the hub's cache, whose layout huggingface_hub documents."""
    if not _HUB_ID.fullmatch(name):
        return None
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{home}/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    repository = cache / f"models--{name.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    return repository / "snapshots" / commit


def read_json(path: Path) -> dict[str, Any]:
    """An object in a JSON file of somebody else's.

    Raises:
        ConfigError: it is none.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON object: {error}. Fetch the folder again") from error
    return found


# -- weights -------------------------------------------------------------------------------


def weight_file(folder: Path, names: Sequence[str]) -> str:
    """The first of some names that a folder has; empty where it has none."""
    return next((name for name in names if (folder / name).is_file()), "")


def identity(folder: Path, files: Sequence[str]) -> str:
    """What tells a folder's content from others: the SHA-256 of some of its files together.

    Hashes are remembered. The files of an index of weights count with it.

    Raises:
        MissingSourceError: one of them is missing.
    """
    listed = [f for name in files for f in _with_shards(folder, name)]
    found = hash_files(folder, listed)
    gone = [name for name, one in zip(listed, found, strict=True) if one == UNREADABLE]
    if gone:
        raise MissingSourceError(f"{folder} lacks {', '.join(gone)}: fetch it again, all of it")
    return _joined(listed, found)


def digest(folder: Path, files: Sequence[str]) -> str:
    """The same, of the bytes as they are now."""
    listed = [f for name in files for f in _with_shards(folder, name)]
    return _joined(listed, [sha256(folder / name) for name in listed])


def _with_shards(folder: Path, name: str) -> list[str]:
    if not weight_shards.is_index(name):
        return [name]
    return [name, *weight_shards.read_index(folder / name)]


def _joined(names: Sequence[str], hashes: Sequence[str]) -> str:
    text = "\n".join(f"{name} {one}" for name, one in zip(names, hashes, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()


# -- how it sees images --------------------------------------------------------------------


def view_of(settings: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    """How a network sees images: as its image processor says, but for keys of the config.

    Args:
        settings: The model's, of which the keys of `VIEW` count.
        processor: Content of `preprocessor_config.json`; empty where there is none.

    Raises:
        ConfigError: it does what cannot be done here, or says too little; with the keys to set.
    """
    own = {key: settings[key] for key in VIEW if key in settings}
    told = _told(processor, own)
    found = told | own
    if missing := [key for key in VIEW if key not in found]:
        raise ConfigError(
            f"preprocessor_config.json of {settings['name']} does not say "
            f"{', '.join(map(name_of, missing))}: "
            "set these keys of the model"
        )
    return {key: found[key] for key in VIEW}


def _told(processor: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if processor and processor.get("do_normalize", True):
        for key, name in (("mean", "image_mean"), ("std", "image_std")):
            if name in processor:
                value = processor[name]
                found[key] = list(value) if isinstance(value, list) else [float(value)] * 3
    elif processor:
        found |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    factor = processor.get("rescale_factor", 1 / 255)
    if processor and (not processor.get("do_rescale", True) or abs(factor * 255 - 1) > 1e-6):
        raise ConfigError(
            f"its image processor scales pixels by {factor if 'rescale_factor' in processor else 1}"
            ", where here pixels are in [0, 1]: such a network is not read"
        )
    if "resample" in processor:
        found["interpolation"] = RESAMPLE.get(processor["resample"], str(processor["resample"]))
    if processor and not {"size_px", "crop_share", "crop_mode"} <= {*own}:
        found |= _cut(processor)
    return found


def _cut(processor: Mapping[str, Any]) -> dict[str, Any]:
    """What of an image is seen, and in what size."""
    size, is_cropped = processor.get("size"), bool(processor.get("do_center_crop", False))
    kind = str(processor.get("image_processor_type", processor.get("feature_extractor_type", "")))
    if not processor.get("do_resize", True) or size is None:
        return {}
    crop = _side(processor["crop_size"]) if is_cropped and "crop_size" in processor else 0
    is_short = isinstance(size, Mapping) and "shortest_edge" in size
    is_short |= isinstance(size, int) and is_cropped
    side = _side(size)
    if "ConvNext" in kind and "DINOv3" not in kind:
        share = float(processor.get("crop_pct") or 224 / 256)
        if side >= WHOLE_FROM_PX:
            return {"size_px": side, "crop_share": 1.0, "crop_mode": "squash"}
        return {"size_px": side, "crop_share": share, "crop_mode": "center"}
    mode = "center" if is_short else "squash"
    return {"size_px": crop or side, "crop_share": (crop or side) / side, "crop_mode": mode}


def _side(size: Any) -> int:
    """Of a square, however it is written.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(size, Mapping):
        if "shortest_edge" in size:
            return int(size["shortest_edge"])
        size = [size.get("height"), size.get("width")]
    sides = {*size} if isinstance(size, list) else {size}
    if len(sides) != 1 or not all(isinstance(side, int) for side in sides):
        raise ConfigError(
            f"its image processor makes images of {size}: here they are square. Set size_px, "
            "crop_pct and crop_mode of the model"
        )
    return int(sides.pop())
