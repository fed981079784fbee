"""Reads a file of weights that comes from somebody else: tensors only, nothing that could run."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sightlines.core.errors import WeightsError
from sightlines.models.weight_pickles import BESIDE, PROTOCOL, Held, look
from sightlines.models.weight_shards import INDEX, is_index, missing, read_index

SAFE, TORCH = (".safetensors",), (".pth", ".pt", ".bin", ".tar", ".ckpt")
DEEPEST = 4
"""Keys one below the other under which tensors are looked for, at most."""
LISTED = 5
"""Keys or tensors of one kind that a message lists, at most."""
State = dict[str, torch.Tensor]


def read(path: Path) -> dict[str, State]:
    """Every set of tensors by name that a file holds.

    Training scripts keep several: trained and averaged weights, student and teacher, the
    optimizer's state. An index (`*.index.json`) stands for the files that it names.

    Returns:
        The sets, by the keys under which they lie, joined by dots; empty for the file's top.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown kind, would run code, or holds no
            tensor by name.
    """
    if path.is_dir():
        raise WeightsError(f"{path} is a folder: set `weights` to the file in it{_likely(path)}")
    if not path.is_file():
        raise WeightsError(
            f"there is no weight file {path}: set `weights` to a file below data_root "
            "(or below SIGHTLINES_DATA)"
        )
    with path.open("rb") as handle:
        begin = handle.read(64)
    if not begin:
        raise WeightsError(f"{path} is empty: fetch it again")
    if begin.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a pointer of Git LFS, not the weights: run git lfs pull")
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(f"{path} is a page of the web, not the weights: fetch it again")
    if is_index(path.name):
        return {"": _read_shards(path)}
    ending = path.suffix.lower()
    if ending in SAFE:
        return {"": _read_safetensors(path)}
    if ending in TORCH:
        return _read_torch(path)
    if _is_safetensors(path):
        return {"": _read_safetensors(path)}
    if _is_torch(path):
        return _read_torch(path)
    raise WeightsError(
        f"{path} is no kind of weight file that is read here: use one of "
        f"{', '.join((*SAFE, *TORCH, INDEX))}"
    )


def _likely(folder: Path) -> str:
    """Of the files in a folder the first that may be its weights, in words."""
    names = sorted(
        p.name for p in folder.iterdir() if is_index(p.name) or p.suffix in (*SAFE, *TORCH)
    )
    names.sort(key=lambda name: not is_index(name))
    return f", such as {names[0]}" if names else ", of which none is one of weights"


def _read_shards(path: Path) -> State:
    """The tensors of several files, as their index has them."""
    found: State = {}
    files = read_index(path)
    if gone := missing(path.parent, path.name):
        raise WeightsError(f"{path}: {gone}. Put them beside it, or fetch them all again")
    for file, names in files.items():
        shard = path.parent / file
        own = read(shard).get("", {})
        if own.keys() != {*names}:
            odd = sorted(own.keys() ^ {*names})
            raise WeightsError(
                f"{path} says {len(names)} tensors of {file}, which holds {len(own)}: they differ "
                f"by {', '.join(odd[:LISTED])}. Fetch the index and its files again, together"
            )
        found |= own
    return found


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}") from error
    if not found:
        raise WeightsError(f"{path} holds no tensors: save model.state_dict() in it")
    return found


def _read_torch(path: Path) -> dict[str, State]:
    if _is_safetensors(path):
        raise WeightsError(f"{path} is a safetensors file: give it the ending .safetensors")
    try:
        # Many scripts keep their options beside the weights.
        with torch.serialization.safe_globals([(_PassedOver, name) for name in BESIDE]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _not_read(path, error) from error
    sets = _sets(found)
    if not sets:
        keys = ", ".join(map(str, list(found)[:LISTED])) if isinstance(found, Mapping) else ""
        raise WeightsError(
            f"{path} holds no tensors by name: it is a {type(found).__name__}"
            f"{f' with the keys {keys}' if keys else ''}. Save model.state_dict() alone, as "
            "safetensors or by torch.save"
        )
    return sets


class _PassedOver:
    """Stands for a value beside the weights, whatever made it."""

    def __init__(self, *parts: Any) -> None:
        """Keep nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keep nothing."""


def _not_read(path: Path, error: Exception) -> WeightsError:
    """Torch's own advice is to trust the file: that is not passed on."""
    held = look(path)
    return WeightsError(
        f"{path} holds {_held(held, error)}: it is not read, because such a file can run code. "
        f"{_export(held)}"
    )


def _held(held: Held, error: Exception) -> str:
    """What a file holds besides tensors, in words."""
    if held.is_script:
        return "a compiled network (TorchScript), not its weights alone"
    if not held.names:
        return f"more than tensors, or is damaged ({type(error).__name__})"
    named = ", ".join(held.names[:LISTED])
    left = len(held.names) - LISTED
    more = f" and {left} more" if left > 0 else ""
    cut = "" if held.is_whole else "; it is also damaged"
    what = "a whole pickled network" if held.is_network else "more than tensors"
    return f"{what} (it names {named}{more}{cut})"


def _export(held: Held) -> str:
    """How whoever made a file can save its tensors alone."""
    if held.is_script:
        state = "torch.jit.load(file).state_dict()"
    elif held.is_network:
        state = "model.state_dict()"
    else:
        state = f'checkpoint["{held.key}"]' if held.key else "checkpoint"
    return (
        "Whoever made it, or trusts it, can save its tensors alone where it was made: "
        "safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in "
        f'{state}.items()}}, "weights.safetensors")'
    )


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: 8 bytes of length, then JSON."""
    with path.open("rb") as handle:
        return handle.read(9)[8:] == b"{"


def _is_torch(path: Path) -> bool:
    """Whether a file is one of torch's by its content: a pickle alone, or in a zip archive."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith("data.pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return False
    with path.open("rb") as handle:
        return handle.read(1) == PROTOCOL


def _sets(found: Any, place: str = "", depth: int = 0) -> dict[str, State]:
    if not isinstance(found, Mapping) or depth > DEEPEST:
        return {}
    own = {str(key): value for key, value in found.items() if _is_plain(value)}
    sets = {place: own} if own else {}
    for key, value in found.items():
        sets |= _sets(value, f"{place}.{key}" if place else str(key), depth + 1)
    return sets


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor with all its entries: not sparse, not without content."""
    is_tensor = isinstance(value, torch.Tensor)
    return is_tensor and value.layout is torch.strided and not value.is_meta
