"""Brings the weights of a folder into a network of transformers: safetensors, by its own loader.

The library knows what its networks were called before: names of older files are its to convert.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import model_folders, transformers, transformers_building
from sightlines.models.weight_fitting import Fitted
from sightlines.models.weight_misfits import infinite, shown

BESIDE = ("position_ids", "pooler.", "mask_token")
"""Parts of names that a file may lack, or have besides, without a word of the network's output."""


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """Names of the network's outputs, in order."""
    return transformers.outputs_of(settings)


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    known = transformers.facts(settings, size_px)
    return transformers.on_card(settings, size_px) | {"grid": known["grid"]}


def leave_untrained(model: nn.Module, settings: dict[str, Any]) -> None:
    """It is as it was built."""
    del model, settings


def bring(
    model: nn.Module, settings: dict[str, Any], source: Path, stated: str, log: Any
) -> tuple[str, str, Fitted]:
    """Read the weights of a network's folder; see `timm_weights.bring`.

    Raises:
        WeightsError: the folder changed since then, or its weights do not fit.
    """
    name = settings["name"]
    folder = model_folders.find(name, settings["revision"], source, transformers.CONFIG)
    files = transformers.files_of(folder, name)
    digest = model_folders.digest(folder, files)
    if digest != stated:
        raise WeightsError(f"{folder} changed since snakemake started: run snakemake again")
    fitted = read(model, settings, folder)
    del log
    is_here = folder.is_relative_to(source)
    return f"folder:{folder.relative_to(source)}" if is_here else f"hf:{name}", digest, fitted


def read(model: Any, settings: dict[str, Any], folder: Path) -> Fitted:
    """The weights of a folder, by the names and in the shapes of a model's.

    Args:
        model: As `transformers.build` made it; stays as it is.
        settings: Of the model, with what its folder says.
        folder: With safetensors.

    Raises:
        WeightsError: the file is damaged, tensors are missing, of another shape or not finite.
    """
    outputs = len(transformers.outputs_of(settings))
    kind, config = transformers_building.classified(settings, vars(model)["seen_px"], outputs)
    try:
        loaded, info = kind.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
            **transformers_building.without(kind),
        )
    except Exception as error:
        raise WeightsError(
            f"{folder} cannot be read by transformers: {type(error).__name__}: {str(error)[:500]}"
        ) from error
    missing = [n for n in sorted(info["missing_keys"]) if not any(part in n for part in BESIDE)]
    other = sorted(
        str(each[0] if isinstance(each, tuple) else each) for each in info["mismatched_keys"]
    )
    state = {f"model.{n}": tensor for n, tensor in loaded.state_dict().items()}
    expected = model.state_dict()
    other += sorted(n for n in state if n in expected and state[n].shape != expected[n].shape)
    if missing or other or state.keys() != expected.keys():
        told = [f"missing: {shown(missing)}"] * bool(missing)
        told += [f"of another shape: {shown(other)}"] * bool(other)
        told += [f"unknown: {shown(sorted(state.keys() ^ expected.keys()))}"] * (not told)
        raise WeightsError(
            f"the weights in {folder} do not fit {kind.__name__}, which its config.json names:\n  "
            + "\n  ".join(told)
        )
    if odd := infinite(state, expected):
        raise WeightsError(f"the weights in {folder}: {shown(odd)}")
    left_out = sorted(info["unexpected_keys"])
    return Fitted(state, [], left_out=left_out, numbers=_formats(folder))


def _formats(folder: Path) -> list[str]:
    """Number formats in a folder's safetensors that are not float32."""
    from safetensors import safe_open

    found = set()
    weights = model_folders.weight_file(folder, transformers.WEIGHTS)
    names = [weights]
    if weights.endswith(".index.json"):
        names = sorted({*json.loads((folder / weights).read_text())["weight_map"].values()})
    for name in names:
        with safe_open(folder / name, framework="pt") as reader:
            found |= {reader.get_slice(key).get_dtype() for key in reader.keys()}
    return sorted(kind for kind in found if kind.startswith(("F", "BF")) and kind != "F32")
