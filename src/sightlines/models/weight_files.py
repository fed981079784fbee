"""Reads a file of weights that comes from somebody else: tensors only, nothing that could run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightlines.errors import WeightsError
from sightlines.models.lean import timm_module

SAFE, TORCH = (".safetensors",), (".pth", ".pt", ".bin", ".tar", ".ckpt")
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "teacher", "params")
"""Keys under which training scripts keep the tensors, the best first."""
COUNTERS = "num_batches_tracked"
"""Of minibatches that a BatchNorm saw: no output depends on it, and many files leave it out."""
UNUSED = "attn_pool."
"""Tensors that published files of average-pooled SigLIPs still hold; timm passes over them too."""
LISTED = 40
State = dict[str, torch.Tensor]


def fit(model: nn.Module, path: Path, file: str) -> State:
    """The weights of a file, by the names and in the shapes of a model's.

    Names and shapes that timm itself would convert (other projects' names, position embeddings for
    another size) are converted by timm's function for that.

    Args:
        model: What they are for; stays as it is.
        path: A safetensors or torch file.
        file: The file of `timm.models` that defines the model.

    Raises:
        WeightsError: the file is missing, damaged or would run code, or tensors are missing,
            unexpected, of another shape or not finite: all are listed.
    """
    found = read(path)
    convert = getattr(timm_module(f"models.{file}"), "checkpoint_filter_fn", None)
    expected = model.state_dict()
    if convert is not None and _shapes(found) != _shapes(expected):
        try:
            found = convert(dict(found), model)
        except Exception as error:
            raise WeightsError(
                f"{path} cannot be brought into timm's form for {type(model).__name__} "
                f"({type(error).__name__}: {error}): it is of another model"
            ) from error
    if not any(name.startswith(UNUSED) for name in expected):  # a pooling that the model leaves out
        found = {name: t for name, t in found.items() if not name.startswith(UNUSED)}
    offences = _offences(found, expected)
    if offences:
        listed = "\n  ".join(offences[:LISTED])
        more = f"\n  … and {len(offences) - LISTED} more" if len(offences) > LISTED else ""
        raise WeightsError(
            f"{path} does not fit {type(model).__name__}:\n  {listed}{more}\n"
            "Check name, outputs, size_px, patch_px and arguments of the model in the config."
        )
    return {name: found.get(name, own).to(own.dtype) for name, own in expected.items()}


def read(path: Path) -> State:
    """Name -> tensor.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown kind, or would run code.
    """
    if not path.is_file():
        raise WeightsError(
            f"there is no weight file {path}: set `weights` to a file below data_root "
            "(or below SIGHTLINES_DATA)"
        )
    if path.suffix in SAFE:
        return _read_safetensors(path)
    if path.suffix in TORCH:
        return _read_torch(path)
    raise WeightsError(
        f"{path} is no kind of weight file that is read here: use one of {', '.join(SAFE + TORCH)}"
    )


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}") from error


def _read_torch(path: Path) -> State:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{path} holds more than tensors, or is damaged: it is not read, because such a file "
            "can run code. Save its tensors as safetensors where you trust it: "
            f"safetensors.torch.save_file(state_dict, …). ({reason})"
        ) from error
    state = _unwrapped(found)
    if not state:
        raise WeightsError(f"{path} holds no tensors by name")
    prefixes = ("module.", "_orig_mod.")
    for prefix in prefixes:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _unwrapped(found: Any) -> State:
    if not isinstance(found, Mapping):
        return {}
    for key in WRAPPERS:
        if isinstance(found.get(key), Mapping):
            return _unwrapped(found[key])
    return {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)}


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith(COUNTERS)}


def _offences(found: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> list[str]:
    offences = [f"{n}: missing" for n in expected if n not in found and not n.endswith(COUNTERS)]
    offences += [f"{name}: unexpected" for name in found if name not in expected]
    for name in (n for n in expected if n in found):
        shape, wanted = tuple(found[name].shape), tuple(expected[name].shape)
        if shape != wanted:
            offences.append(f"{name}: shape {shape} instead of {wanted}")
        elif not torch.isfinite(found[name].float()).all():
            offences.append(f"{name}: holds numbers that are not finite")
    return offences
