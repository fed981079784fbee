"""Reads a file of weights that comes from somebody else: tensors only, nothing that could run."""

import re
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
PREFIXES = ("module.", "_orig_mod.")
"""What torch's wrappers for many devices and for compiling put before every name."""
COUNTERS = "num_batches_tracked"
"""Of minibatches that a BatchNorm saw: no output depends on it, and many files leave it out."""
UNUSED = "attn_pool."
"""Tensors that published files of average-pooled SigLIPs still hold; timm passes over them too."""
LISTED = 15
"""Offences of one kind that an error lists, at most."""
State = dict[str, torch.Tensor]


def fit(model: nn.Module, path: Path, file: str, is_resized: bool) -> tuple[State, list[str]]:
    """The weights of a file, by the names and in the shapes of a model's.

    Names that timm itself would convert (other projects') are converted by timm's function for
    that; so are patches and position embeddings of another size, where the config asks for it.

    Args:
        model: What they are for; stays as it is.
        path: A safetensors or torch file.
        file: The file of `timm.models` that defines the model.
        is_resized: Whether the config sets a size or patches other than timm's.

    Returns:
        The weights, and the names of those that were resampled to another size.

    Raises:
        WeightsError: the file is missing, damaged or would run code, or tensors are missing,
            unexpected, of another shape or not finite: all are listed.
    """
    raw = read(path)
    expected = model.state_dict()
    found, resampled, reason = raw, [], ""
    convert = getattr(timm_module(f"models.{file}"), "checkpoint_filter_fn", None)
    if convert is not None and _shapes(raw) != _shapes(expected):
        try:
            found = convert(dict(raw), model)
            resampled = _resampled(raw, found, getattr(model, "num_prefix_tokens", 0))
        except Exception as error:
            reason = f" (timm's conversion: {type(error).__name__}: {error})"
    if resampled and not is_resized:
        found = found | {name: raw[name] for name in resampled}
    if not any(name.startswith(UNUSED) for name in expected):  # a pooling that the model leaves out
        found = {name: t for name, t in found.items() if not name.startswith(UNUSED)}
    offences = _offences(found, expected)
    if offences:
        listed = "\n  ".join(offences)
        raise WeightsError(
            f"{path} does not fit {type(model).__name__}{reason}:\n  {listed}\n"
            "Check name, outputs, size_px, patch_px and arguments of the model in the config."
        )
    return {name: found.get(name, own).to(own.dtype) for name, own in expected.items()}, resampled


def _resampled(raw: State, found: State, prefix: int) -> list[str]:
    """Tensors that a conversion brought to another size; prefix tokens are none of it."""
    return [
        name
        for name, tensor in found.items()
        if name in raw
        and tensor.numel() != raw[name].numel()
        and not (name == "pos_embed" and abs(tensor.shape[1] - raw[name].shape[1]) <= prefix)
    ]


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
        return _without_prefixes(_read_safetensors(path))
    if path.suffix in TORCH:
        return _without_prefixes(_read_torch(path))
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
    if _is_safetensors(path):
        raise WeightsError(f"{path} is a safetensors file: give it the ending .safetensors")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))  # torch's own advice is to trust the file
        reason = f"it names {named[1]}" if named else type(error).__name__
        raise WeightsError(
            f"{path} holds more than tensors, or is damaged: it is not read, because such a file "
            "can run code. Save its tensors as safetensors where you trust it: "
            f"safetensors.torch.save_file(state_dict, …). ({reason})"
        ) from error
    state = _unwrapped(found)
    if not state:
        keys = ", ".join(map(str, list(found)[:LISTED])) if isinstance(found, Mapping) else ""
        raise WeightsError(
            f"{path} holds no tensors by name: it is a {type(found).__name__}"
            f"{f' with the keys {keys}' if keys else ''}, and tensors are looked for at its top "
            f"or under {', '.join(WRAPPERS)}"
        )
    return state


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: 8 bytes of length, then JSON."""
    with path.open("rb") as handle:
        return handle.read(9)[8:] == b"{"


def _without_prefixes(state: State) -> State:
    """Names without what wrappers of modules put before all of them, in any order."""
    while state:
        found = next((p for p in PREFIXES if all(name.startswith(p) for name in state)), "")
        if not found:
            break
        state = {name.removeprefix(found): tensor for name, tensor in state.items()}
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
    """What is wrong with a file's tensors, some of each kind."""
    missing = [f"{n}: missing" for n in expected if n not in found and not n.endswith(COUNTERS)]
    unexpected = [f"{name}: unexpected" for name in found if name not in expected]
    odd = []
    for name in (n for n in expected if n in found):
        shape, wanted = tuple(found[name].shape), tuple(expected[name].shape)
        if shape != wanted:
            odd.append(f"{name}: shape {shape} instead of {wanted}")
        elif not torch.isfinite(found[name].float()).all():
            odd.append(f"{name}: holds numbers that are not finite")
    return [line for kind in (odd, missing, unexpected) for line in _some(kind)]


def _some(lines: list[str]) -> list[str]:
    left = len(lines) - LISTED
    what = lines[-1].partition(": ")[2].partition(" ")[0] if lines else ""
    return lines if left <= 0 else [*lines[:LISTED], f"… and {left} more: {what}"]
