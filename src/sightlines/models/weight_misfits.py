"""What does not fit between a file's tensors and a model's, and what to change."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sightlines.models.weight_files import LISTED, State

COUNTERS = "num_batches_tracked"
"""Of minibatches that a BatchNorm saw: no output depends on it, and many files leave it out."""
SIZED = ("pos_embed", "patch_embed.proj.weight", "relative_position_bias_table")
"""Ends of names of tensors that depend on the size of images or patches."""
TRANSFORMERS = re.compile(
    r"(^|\.)(embeddings\.(patch_embeddings|cls_token)|embedder\.embedder"
    r"|encoder\.layers?\.\d+\.(attention|self_attn|layer_?norm|blocks\.\d+\.attention)"
    r"|encoder\.stages\.\d+\.layers)(\.|$|_)"
)
"""Names of tensors as the library transformers has them."""


def misfits(found: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """What is wrong with names and shapes, one line each."""
    odd = [
        f"{name}: shape {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    missing = [f"{n}: missing" for n in expected if n not in found and not n.endswith(COUNTERS)]
    return [*odd, *missing, *(f"{name}: unexpected" for name in found if name not in expected)]


def infinite(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What is wrong with numbers, one line each."""
    return [
        f"{name}: holds numbers that are not finite"
        for name in expected
        if name in found and not torch.isfinite(found[name].float()).all()
    ]


def cure(model: Any, raw: State, found: State, offences: Sequence[str]) -> str:
    """The key or the step that helps, as far as names and shapes tell.

    Args:
        model: What the weights are for.
        raw: The file's tensors, without a prefix.
        found: The same by timm's names, where it can convert them.
        offences: From `misfits`.
    """
    odd = {line.partition(":")[0] for line in offences}
    if any(TRANSFORMERS.search(name) for name in raw):
        return (
            "Its names are those of the library transformers, not timm's: set weights to hub for "
            "timm's own file of this network, or to the state_dict of a model of timm."
        )
    if odd and all(belongs(model, "classifier", name) for name in odd):
        sizes = [len(t) for n, t in found.items() if belongs(model, "classifier", n) and t.dim()]
        what = (
            f"The file's last layer has {max(sizes)} outputs" if sizes else "It has no last layer"
        )
        return f"{what}: set outputs: {max(sizes, default=0)}."
    if odd and all(_is_grey(model, name, found) for name in odd):
        return "The file is of a network for grey images: set arguments: {in_chans: 1}."
    if odd and all(name.endswith(SIZED) for name in odd):
        return "The file is for images or patches of another size: set size_px or patch_px."
    return "Check name, outputs, size_px, patch_px and arguments of the model in the config."


def belongs(model: Any, role: str, name: str) -> bool:
    """Whether a tensor is of a layer that timm's facts of a model name.

    Args:
        model: Of timm.
        role: ``classifier``, its last layers, or ``first_conv``, its first.
        name: Of the tensor.
    """
    layers = getattr(model, "pretrained_cfg", {}).get(role) or ()
    layers = (layers,) if isinstance(layers, str) else layers
    return any(name.startswith(f"{layer}.") for layer in layers)


def _is_grey(model: Any, name: str, found: State) -> bool:
    """Whether a tensor is the first layer's weight, for one channel."""
    return belongs(model, "first_conv", name) and name in found and found[name].shape[1:2] == (1,)


def some(lines: Sequence[str]) -> list[str]:
    """Some lines of each kind, and how many are left."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kinds.setdefault(line.partition(": ")[2].partition(" ")[0], []).append(line)
    listed = []
    for kind, own in kinds.items():
        left = len(own) - LISTED
        listed += [*own[:LISTED], *([f"… and {left} more: {kind}"] if left > 0 else [])]
    return listed


def shown(names: Sequence[str]) -> str:
    """Some names, and how many are left."""
    left = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {left} more" if left > 0 else "")
